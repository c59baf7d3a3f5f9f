"""A service that is killed leaves no process and no shared memory of its engine behind."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

PROGRAM = '''
"""Three generations, as vLLM has them: the service, its engine core, a worker of that."""
import multiprocessing, sys, threading, time
from contextlib import nullcontext
from multiprocessing.shared_memory import SharedMemory

from duet_cloud.engine_processes import end_with_parent, starting_processes

def worker(method, memory):
    if method == "spawn":
        end_with_parent()
    print("worker", multiprocessing.current_process().pid, memory, flush=True)
    time.sleep(600)

def core(method):
    if method == "spawn":
        end_with_parent()
    memory = SharedMemory(create=True, size=4096)
    print("core", multiprocessing.current_process().pid, memory.name, flush=True)
    context = multiprocessing.get_context(method)
    context.Process(target=worker, args=(method, memory.name)).start()
    time.sleep(600)

def load(method, bound):
    with starting_processes() if bound else nullcontext():
        multiprocessing.get_context(method).Process(target=core, args=(method,)).start()
    time.sleep(600)

if __name__ == "__main__":
    method, bound = sys.argv[1], sys.argv[2] == "bound"
    # vLLM is loaded in a thread.
    threading.Thread(target=load, args=(method, bound), daemon=True).start()
    time.sleep(600)
'''


@pytest.fixture
def started(tmp_path):
    """Starts the program; yields its process, those it started and its shared memory."""
    (tmp_path / "program.py").write_text(PROGRAM)
    begun = []

    def start(method, bound):
        command = [sys.executable, str(tmp_path / "program.py"), method, bound]
        service = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        begun.append(service)
        lines = [service.stdout.readline().split() for _ in range(2)]
        assert [line[0] for line in lines] == ["core", "worker"]
        processes = [psutil.Process(int(line[1])) for line in lines]
        begun.extend(processes)
        memory = Path("/dev/shm", lines[0][2])
        assert memory.exists()
        return service, processes, memory

    yield start
    for process in begun:
        try:
            process.kill()
            process.wait(5)
        except psutil.NoSuchProcess:
            pass


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl is Linux's")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_nothing_is_left_after_a_kill(started, method):
    service, processes, memory = started(method, "bound")
    service.kill()
    _, alive = psutil.wait_procs(processes, 60)
    assert not alive
    until = time.monotonic() + 60
    while memory.exists():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl is Linux's")
def test_engines_of_other_programs_are_left_alone(started):
    """Though vLLM loads the plugin there, too; all of them stay, which is what is prevented."""
    service, processes, memory = started("spawn", "unbound")
    service.kill()
    _, alive = psutil.wait_procs(processes, 0.5)
    assert len(alive) == 2
    assert memory.exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl is Linux's")
def test_forks_that_are_no_engines_live_on():
    """Of a thread that ends, for instance, long after the engine was started."""
    program = """
import os, threading, time
from duet_cloud.engine_processes import starting_processes
with starting_processes():
    pass
def fork():
    if os.fork() == 0:
        time.sleep(0.3)
        print("lives on", flush=True)
        os._exit(0)
thread = threading.Thread(target=fork)
thread.start()
thread.join()
os.wait()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "lives on\n"


def test_a_process_whose_parent_is_gone_ends_at_once(tmp_path):
    program = "from duet_cloud import engine_processes as e; e._end_with(1 << 22); print('alive')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (-9, "")


def test_vllm_finds_the_plugin():
    """By its entry point in pyproject.toml; an installation has it in its metadata."""
    import tomllib

    from duet_cloud.engine_processes import PLUGIN, end_with_parent

    project = tomllib.loads(Path("cloud/pyproject.toml").read_text("utf-8"))["project"]
    declared = project["entry-points"]["vllm.general_plugins"]
    module, _, name = declared[PLUGIN].partition(":")
    assert (module, name) == (end_with_parent.__module__, end_with_parent.__name__)
