"""Prints the command line that VERL's rollout server gives to vLLM, as JSON; vLLM is not needed.

    python -m tests.doubles.vllm_arguments PAIR_YAML FLAGS_AS_JSON HARDWARE...

VERL composes the arguments itself, in the method that starts its server: the modules of vLLM that
it imports are replaced, and the parser that it would give the arguments to notes them.
"""

import asyncio
import json
import sys
from importlib import metadata
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

VERSION = "0.24.0"  # which VERL 0.9.1 pins


class Noted(Exception):
    """The arguments that reached the parser."""


class _Module(ModuleType):
    """A module that has whatever is asked of it."""

    __path__: tuple[str, ...] = ()  # type: ignore[assignment]
    __version__ = VERSION

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock(name=name)


class _Stand(MetaPathFinder, Loader):
    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name.split(".")[0] == "vllm" else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


class _Parser(MagicMock):
    def parse_args(self, args: list[str]) -> None:
        raise Noted(args)


def arguments(pair: str, flags: set[str], hardware: str) -> dict[str, list[str]]:
    """Return what VERL would start `vllm` with for each policy of a run.

    `flags`: vLLM's settings that VERL has to switch off explicitly.
    """
    from verl.utils.config import omega_conf_to_dataclass
    from verl.workers.rollout.vllm_rollout import utils
    from verl.workers.rollout.vllm_rollout import vllm_async_server as module

    from duet_training.pair.description import load_pair
    from duet_training.settings.run import settings_from
    from duet_training.verl_backend.config import policy_config

    utils._optional_bool_vllm_args = lambda: flags
    module.FlexibleArgumentParser = _Parser
    settings = settings_from([f"pair={pair}", "out=o", "data.train=t", f"hardware={hardware}"])
    found = {}
    for policy in settings.policies:
        model = getattr(load_pair(settings.pair), policy).path
        part = policy_config(settings, policy, str(model)).actor_rollout_ref
        server = module.vLLMHttpServer.__new__(module.vLLMHttpServer)
        server.config = omega_conf_to_dataclass(part.rollout)
        server.model_config = omega_conf_to_dataclass(part.model)
        server.replica_rank, server.node_rank, server.nnodes = 1, 0, 1
        server.gpus_per_node, server.workers = part.rollout.n_gpus_per_node, []
        server._disaggregation_role = "null"
        server._should_profile = lambda: False
        server._validate_configs()
        try:
            asyncio.run(server.launch_server())
        except Noted as noted:
            found[policy] = noted.args[0]
    return found


if __name__ == "__main__":
    sys.meta_path.insert(0, _Stand())
    # VERL asks the installed distributions for vLLM's version.
    _installed = metadata.version
    metadata.version = lambda name: VERSION if name == "vllm" else _installed(name)
    pair_, flags_, *names = sys.argv[1:]
    print(json.dumps({name: arguments(pair_, set(json.loads(flags_)), name) for name in names}))
