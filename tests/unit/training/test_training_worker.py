"""A policy's worker on a simulated device that counts what its allocator keeps."""

import pytest
from omegaconf import OmegaConf
from verl.utils import memory_utils
from verl.workers.engine_workers import ActorRolloutRefWorker

from duet_training.verl_backend import worker as module
from duet_training.verl_backend.worker import PolicyWorker

GIB = 2**30
CALLS = ["compute_log_prob", "compute_ref_log_prob", "update_actor"]


class Device:
    """An allocator that keeps every block until `empty_cache`."""

    def __init__(self):
        self.reserved, self.peak, self.emptied = 0, 0, 0

    def is_available(self):
        return True

    def reserve(self, size):
        self.reserved += size
        self.peak = max(self.peak, self.reserved)

    def memory_reserved(self):
        return self.reserved

    def memory_allocated(self):
        return 0

    def max_memory_reserved(self):
        return self.peak

    def reset_peak_memory_stats(self):
        self.peak = self.reserved

    def empty_cache(self):
        self.emptied += 1
        self.reserved = 0

    def synchronize(self):
        pass


@pytest.fixture
def device(monkeypatch):
    device = Device()
    monkeypatch.setattr(memory_utils, "get_torch_device", lambda: device)
    monkeypatch.setattr(module, "get_torch_device", lambda: device)
    for name in CALLS:
        monkeypatch.setattr(
            ActorRolloutRefWorker, name, lambda self, data: device.reserve(data * GIB) or data
        )
    return device


def _worker(empty_cache):
    worker = PolicyWorker.__new__(PolicyWorker)
    custom = {"first_replica": 0, "empty_cache": empty_cache}
    worker.config = OmegaConf.create({"rollout": {"custom": custom}})
    return worker


@pytest.mark.parametrize("name", CALLS)
def test_cached_blocks_go_back_after_log_probs_and_updates(device, name):
    worker = _worker(True)
    assert getattr(worker, name)(13) == 13
    assert device.emptied
    assert device.reserved == 0
    assert worker.peak_memory() == 13
    assert worker.peak_memory() == 0


@pytest.mark.parametrize("name", CALLS)
def test_without_the_setting_they_stay(device, name):
    getattr(_worker(False), name)(13)
    assert (device.emptied, device.reserved) == (0, 13 * GIB)


def test_a_failed_pass_gives_its_blocks_back_too(device, monkeypatch):
    def fail(self, data):
        device.reserve(data * GIB)
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(ActorRolloutRefWorker, "update_actor", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        _worker(True).update_actor(13)
    assert device.reserved == 0


def test_verl_calls_them_as_its_own():
    """Dispatch mode and blocking of each are those of the method that it replaces."""
    for name in CALLS:
        ours, theirs = (
            getattr(kind, name).attrs_3141562937 for kind in (PolicyWorker, ActorRolloutRefWorker)
        )
        assert {key: ours[key] for key in ("execute_mode", "blocking")} == {
            key: theirs[key] for key in ("execute_mode", "blocking")
        }
        for part in ("dispatch_fn", "collect_fn"):
            mine, its = ours["dispatch_mode"][part], theirs["dispatch_mode"][part]
            assert (mine.func, mine.args) == (its.func, its.args)
