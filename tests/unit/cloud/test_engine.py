"""What becomes of what vLLM gives, and what its processes inherit; nothing is loaded here."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import zmq
from vllm.utils.network_utils import get_open_zmq_ipc_path
from vllm.v1.engine.exceptions import EngineDeadError

from duet_cloud import service
from duet_cloud.engine import (
    BATCH_INVARIANT,
    Job,
    VllmEngine,
    _bound_socket_paths,
    _check_batch_invariance,
    _processor_defaults,
    load_in_background,
)
from duet_cloud.errors import EngineError
from duet_cloud.options import ServeOptions

JOB = Job("r", [1, 2], budget=9, stop_id=7, temperature=0.0, seed=None, text=True)


class FakeLlm:
    """Gives what vLLM would: (ids, finish reason) an output."""

    def __init__(self, *outputs):
        self.outputs = outputs
        self.asked = None
        self.vllm_config = SimpleNamespace(
            scheduler_config=SimpleNamespace(max_num_seqs=4),
            model_config=SimpleNamespace(max_model_len=100),
            device_config=SimpleNamespace(device_type="cpu"),
        )
        self.errored = False
        self.paused = asyncio.Event()

    async def is_paused(self):
        """A call through the core, which answers once `paused` is set."""
        await self.paused.wait()

    async def generate(self, prompt, sampling, request_id, trace_headers=None):
        self.asked = (prompt["prompt_token_ids"], sampling, request_id)
        for ids, finish in self.outputs:
            odds = [{each: SimpleNamespace(logprob=-float(each))} for each in ids]
            completion = SimpleNamespace(
                token_ids=ids,
                text="t" * len(ids),
                finish_reason=finish,
                logprobs=odds if sampling.logprobs is not None else None,
            )
            yield SimpleNamespace(outputs=[completion], num_cached_tokens=None, metrics=None)


async def test_a_request_of_an_engine_that_died_ends_with_that():
    class Dead(FakeLlm):
        async def generate(self, *_, **__):
            raise EngineDeadError
            yield

    with pytest.raises(EngineError, match="^the engine died; vLLM's log on the server says why$"):
        await _steps(Dead())


async def test_a_check_lasts_until_the_core_answers():
    llm = FakeLlm()
    check = asyncio.create_task(VllmEngine(llm).check())
    done, _ = await asyncio.wait({check}, timeout=0.1)
    assert not done
    llm.paused.set()
    await check


async def test_a_check_of_a_core_that_dies_meanwhile():
    """VLLM leaves the call unanswered then."""
    llm = FakeLlm()
    check = asyncio.create_task(VllmEngine(llm).check())
    await asyncio.sleep(0.1)
    llm.errored = True
    with pytest.raises(EngineError, match="the engine died"):
        await asyncio.wait_for(check, 60)


async def test_a_check_of_a_dead_core():
    llm = FakeLlm()

    async def dead():
        raise EngineDeadError

    llm.is_paused = dead
    with pytest.raises(EngineError, match="the engine died"):
        await VllmEngine(llm).check()


async def test_a_check_whose_sockets_close_is_no_answer():
    """vLLM's sockets cancel what waits for them; a cancelled watch would end without a word."""
    llm = FakeLlm()

    async def closed():
        raise asyncio.CancelledError

    llm.is_paused = closed
    with pytest.raises(EngineError, match="the engine died"):
        await VllmEngine(llm).check()


# In a process of its own: multiprocessing starts another one, which stays.
KILLED = """
import multiprocessing, os, signal, time
from types import SimpleNamespace as Config
import psutil
from duet_cloud.engine import VllmEngine

core = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
core.start()
process = psutil.Process(core.pid)
os.kill(core.pid, signal.SIGSTOP)
config = Config(
    scheduler_config=Config(max_num_seqs=4),
    model_config=Config(max_model_len=100),
    device_config=Config(device_type="cpu"),
)
llm = Config(vllm_config=config, shutdown=lambda: os.kill(core.pid, signal.SIGKILL))
VllmEngine(llm, [core]).shutdown()
print(process.is_running())
"""


def test_a_core_that_vllm_kills_is_no_zombie_after_the_end():
    done = subprocess.run(
        [sys.executable, "-c", KILLED], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "False\n", done.stderr


async def _steps(llm):
    return [(step.ids, step.finish) async for step in VllmEngine(llm).generate(JOB)]


async def test_generation_is_to_stop_at_the_closing_token_and_at_the_budget():
    llm = FakeLlm(([5], "length"))
    await _steps(llm)
    prompt, sampling, request_id = llm.asked
    assert (prompt, request_id) == (JOB.prompt_ids, JOB.request_id)
    assert sampling.stop_token_ids == [JOB.stop_id]
    assert sampling.max_tokens == JOB.budget
    assert not sampling.include_stop_str_in_output


async def test_what_cannot_generate_is_not_served(monkeypatch):
    class Dying(FakeLlm):
        ended = False

        def shutdown(self):
            self.ended = True

    llm = Dying(([], "error"))
    monkeypatch.setattr(VllmEngine, "load", lambda *_: VllmEngine(llm))
    with pytest.raises(EngineError, match="error"):
        await load_in_background(Path(), {}, 1024, "name")
    assert llm.ended


async def test_an_engine_that_hangs_before_it_serves_is_given_up(monkeypatch):
    class Hanging(FakeLlm):
        ended = False

        async def generate(self, *_, **__):
            await asyncio.Event().wait()
            yield

        def shutdown(self):
            self.ended = True

    llm = Hanging()
    monkeypatch.setattr("duet_cloud.engine._WARM_UP_S", 0.05)
    monkeypatch.setattr(VllmEngine, "load", lambda *_: VllmEngine(llm))
    with pytest.raises(EngineError, match="^the engine generated nothing within 0.05 s$"):
        await load_in_background(Path(), {}, 1024, "name")
    assert llm.ended


async def test_a_context_that_holds_no_question_is_not_warmed_up(monkeypatch):
    llm = FakeLlm()
    llm.vllm_config.model_config.max_model_len = 2
    monkeypatch.setattr(VllmEngine, "load", lambda *_: VllmEngine(llm))
    await load_in_background(Path(), {}, 1024, "name")
    assert llm.asked is None


async def test_an_engine_is_warm_before_the_first_question(monkeypatch):
    llm = FakeLlm(([5, 6], "length"))
    monkeypatch.setattr(VllmEngine, "load", lambda *_: VllmEngine(llm))
    await load_in_background(Path(), {}, 1024, "name")
    prompt, sampling, _ = llm.asked
    assert (len(prompt), sampling.max_tokens) == (64, 2)
    # As for a question of a device, which asks for odds.
    assert sampling.logprobs == 0


async def test_the_closing_token_is_not_part_of_the_signal():
    assert await _steps(FakeLlm(([5], None), ([6, 7], "stop"))) == [([5], None), ([6], "stop")]
    assert await _steps(FakeLlm(([5, 6], "length"))) == [([5, 6], "length")]


@pytest.mark.parametrize("finish", ["abort", "error"])
async def test_what_the_engine_gives_up_is_no_whole_signal(finish):
    with pytest.raises(EngineError, match=finish):
        await _steps(FakeLlm(([5], None), ([6], finish)))


@pytest.mark.parametrize(
    ("fast_bfloat16", "config", "dtype"),
    [
        (False, {}, "float32"),
        (False, {"quantization_config": {"quant_method": "awq"}}, None),
        (True, {}, None),
    ],
)
def test_a_processor_that_emulates_bfloat16_gets_float32(
    tmp_path, monkeypatch, fast_bfloat16, config, dtype
):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: fast_bfloat16)
    (tmp_path / "config.json").write_text(json.dumps(config))
    defaults = _processor_defaults(tmp_path)
    assert defaults["enforce_eager"] is True
    assert defaults.get("dtype") == dtype


@pytest.mark.parametrize("directory", ["/tmp", "/tmp/" + "temporary/" * 12])
def test_sockets_of_vllm_have_short_paths_whatever_the_directory_for_temporary_files(
    directory, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", directory)
    monkeypatch.setenv("VLLM_RPC_BASE_PATH", "")
    monkeypatch.delenv("VLLM_RPC_BASE_PATH")
    _bound_socket_paths()
    path = get_open_zmq_ipc_path().removeprefix("ipc://")
    assert len(path) <= zmq.IPC_PATH_MAX_LEN
    assert Path(path).parent.is_dir()


# In a process of its own: here, what multiprocessing starts once may have been started already.
INHERITED = """
import asyncio, signal
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from duet_cloud import engine

def load(*_):
    with ProcessPoolExecutor(1, mp_context=get_context("{method}")) as pool:
        return Loaded(pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result())

class Loaded(set):
    async def warm_up(self):
        pass

engine.VllmEngine.load = load
blocked = asyncio.run(engine.load_in_background(None, {{}}, 1, "name"))
here = signal.pthread_sigmask(signal.SIG_BLOCK, [])
print(sorted(map(int, blocked)), sorted(map(int, here)))
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_ctrl_c_is_for_the_service_alone(method):
    program = INHERITED.format(method=method)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split("\n")[0] == "[2] []", done.stdout + done.stderr


class Platform:
    """A machine as vLLM describes it."""

    def __init__(self, kind, capability=0):
        self.kind, self.capability = kind, capability

    def is_cuda(self):
        return self.kind == "cuda"

    def is_rocm(self):
        return self.kind == "rocm"

    def is_xpu(self):
        return self.kind == "xpu"

    def has_device_capability(self, least):
        return self.capability >= least


@pytest.mark.parametrize(
    "platform", [Platform("cuda", 80), Platform("cuda", 90), Platform("rocm"), Platform("xpu")]
)
def test_batch_invariance_is_for_gpus_that_have_it(platform, monkeypatch):
    monkeypatch.setenv(BATCH_INVARIANT, "1")
    _check_batch_invariance(platform)


@pytest.mark.parametrize("platform", [Platform("cuda", 75), Platform("cpu")])
def test_batch_invariance_is_refused_elsewhere(platform, monkeypatch):
    monkeypatch.setenv(BATCH_INVARIANT, "1")
    with pytest.raises(EngineError, match=r"compute capability 8.0 .* --batch-invariant"):
        _check_batch_invariance(platform)
    monkeypatch.setenv(BATCH_INVARIANT, "0")
    _check_batch_invariance(platform)


def test_batch_invariance_of_a_processor_is_refused_before_anything_is_loaded(
    tmp_path, monkeypatch
):
    monkeypatch.setenv(BATCH_INVARIANT, "1")
    with pytest.raises(EngineError, match="no batch invariance"):
        VllmEngine.load(tmp_path / "missing", {}, 100, "toy")


@pytest.mark.parametrize("asked", [True, False])
def test_the_option_of_batch_invariance_reaches_vllm(asked, monkeypatch):
    async def serve(_):
        assert (os.environ.get(BATCH_INVARIANT) == "1") == asked

    # Restored afterwards, also if it was not set.
    monkeypatch.setenv(BATCH_INVARIANT, "")
    monkeypatch.setattr(service, "_serve", serve)
    service.run(ServeOptions(batch_invariant=asked))


@pytest.mark.parametrize(("odds", "found"), [(True, [[-5.0], [-6.0, -7.0]]), (False, [[], []])])
async def test_log_probabilities_are_those_of_all_tokens_the_closing_one_included(odds, found):
    engine = VllmEngine(FakeLlm(([5], None), ([6, 7], "stop")))
    steps = [step async for step in engine.generate(replace(JOB, odds=odds))]
    assert [step.log_probabilities for step in steps] == found
