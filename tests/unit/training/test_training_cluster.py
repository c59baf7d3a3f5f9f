"""Ray on one node and on several, and the devices that each policy's pool has, without a GPU."""

import os
import threading
from types import SimpleNamespace
from unittest import mock

import pytest

from duet_training.errors import ClusterError, ConfigError
from duet_training.settings.run import settings_from
from duet_training.verl_backend import cluster, policies

NEEDED = ["pair=p", "out=o", "data.train=t"]
NAMES = ("reasoner", "decoder")


def _hardware(*overrides):
    return settings_from([*NEEDED, *overrides]).hardware


@pytest.fixture
def devices(monkeypatch):
    """Says how many GPUs Ray has."""

    def has(count):
        monkeypatch.setattr(cluster.ray, "cluster_resources", lambda: {"GPU": float(count)})

    return has


@pytest.fixture
def asked(monkeypatch):
    """What Ray is started with."""
    options = {}
    started = SimpleNamespace(address_info={"session_dir": "/tmp/ray/session_of_this"})

    def init(**given):
        options.update(given)
        return started

    monkeypatch.setattr(cluster.ray, "init", init)
    monkeypatch.setattr(cluster, "_logs", dict(cluster._logs))
    with mock.patch.dict(os.environ):
        yield options


def test_a_cluster_that_is_named_is_joined(asked, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    cluster.start_ray(_hardware("hardware=h100x4", "hardware.nodes=2"))
    # Ray refuses the size of a cluster that exists already.
    assert not {"num_cpus", "include_dashboard"} & asked.keys()
    # Processes on other nodes have no other way to learn of it.
    assert asked["runtime_env"]["env_vars"]["NCCL_DEBUG"] == "WARN"


def test_without_one_ray_is_started(asked, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    cluster.start_ray(_hardware("hardware=h100x4"))
    assert asked["num_cpus"] == 32
    assert cluster.ray_logs() == "Ray's logs: /tmp/ray/session_of_this/logs"
    cluster.start_ray(_hardware("hardware=cpu"))
    assert asked["runtime_env"]["env_vars"]["VERL_PLATFORM"] == "cpu"


@pytest.mark.parametrize(
    ("address", "said"), [(None, "Ray did not start; is"), ("head:1", "RAY_ADDRESS=head:1")]
)
def test_ray_that_does_not_start_is_one_line(monkeypatch, address, said):
    def late(**_):
        raise Exception("The current node\ntimed out")

    monkeypatch.setattr(cluster.ray, "init", late)
    with mock.patch.dict(os.environ):
        os.environ.pop("RAY_ADDRESS", None)
        if address:
            os.environ["RAY_ADDRESS"] = address
        with pytest.raises(ClusterError, match=said) as caught:
            cluster.start_ray(_hardware("hardware=cpu"))
    assert str(caught.value).endswith(f"(The current node timed out; {cluster.ray_logs()})")


def test_both_policies_share_a_pool_of_every_node(devices):
    devices(8)
    pools = cluster.make_pools(_hardware("hardware=h100x4", "hardware.nodes=2"), NAMES)
    assert pools["reasoner"] is pools["decoder"]
    assert pools["reasoner"].store == [4, 4]
    assert pools["reasoner"].use_gpu
    assert pools["reasoner"].max_colocate_count == 2


def test_or_have_one_each(devices):
    devices(4)
    pools = cluster.make_pools(_hardware("hardware=h100x4_separate"), NAMES)
    assert pools["reasoner"] is not pools["decoder"]
    assert [pools[name].store for name in NAMES] == [[2], [2]]
    alone = cluster.make_pools(_hardware("hardware=h100x4_separate"), NAMES[:1])
    assert list(alone) == ["reasoner"]
    assert not cluster.make_pools(_hardware("hardware=cpu"), NAMES)["decoder"].use_gpu


@pytest.mark.parametrize("hardware", ["h100x4", "h100x4_separate"])
def test_too_few_gpus_are_one_line(devices, hardware):
    devices(3)
    with pytest.raises(ConfigError, match=f"hardware={hardware} needs 4 GPUs, Ray has 3"):
        cluster.make_pools(_hardware(f"hardware={hardware}"), NAMES)


@pytest.mark.parametrize("platform", ["cpu", "h100x4"])
def test_models_start_one_by_one_where_they_share_memory(platform, monkeypatch):
    """And side by side on a CPU: there both must have begun before either is done."""
    both, events = threading.Barrier(2, timeout=60), []

    class Starting:
        def __init__(self, name, config, pool, **options):
            self.name = name

        def start(self):
            events.append(f"{self.name} begins")
            if platform == "cpu":
                both.wait()
            events.append(f"{self.name} rests")

    monkeypatch.setattr(policies, "Policy", Starting)
    monkeypatch.setattr(policies, "start_ray", lambda _: None)
    monkeypatch.setattr(policies, "make_pools", lambda _, names: dict.fromkeys(names))
    monkeypatch.setattr(policies, "policy_config", lambda *_: None)
    pair = SimpleNamespace(paths={"reasoner": "M", "decoder": "m"})
    settings = settings_from([*NEEDED, f"hardware={platform}"])
    assert list(policies.start_policies(settings, pair, NAMES, reference=True)) == list(NAMES)
    in_turn = [f"{name} {what}" for name in NAMES for what in ("begins", "rests")]
    assert sorted(events) == sorted(in_turn)
    assert (events == in_turn) == (platform != "cpu")
