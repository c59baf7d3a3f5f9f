"""The models of evaluations: started once for those that ask for the same."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import ray

from duet_training.pair.description import Pair
from duet_training.rl.checkpoints import load_policies
from duet_training.settings.run import Settings
from duet_training.verl_backend.policies import start_policies
from duet_training.verl_backend.policy import Policy

# What an evaluation does with models, not what it has to start: requests say how to sample.
_ASKED = {
    *("method", "weights", "out", "answers", "runs", "limit", "cut_at"),
    *("temperature", "top_p", "top_k", "decoder"),
}


class ModelCache:
    """Policies as initial or as a checkpoint has them; `close` ends them.

    `uses`: those that will be asked for. They are started together, whichever is first.
    """

    def __init__(self, uses: Collection[str] = ()) -> None:
        self._uses = uses
        self._of: dict[str, Any] = {}
        self._policies: dict[str, Policy] = {}
        self._weights: dict[str, Path] = {}

    def with_weights(
        self, settings: Settings, pair: Pair, names: Sequence[str], weights: Path | None
    ) -> dict[str, Policy]:
        """The policies in `names`, with the checkpoint `weights` or (None) as they began.

        What is started stays if it is what these settings would start.

        Raises:
            ConfigError: see `start_policies`.
            CheckpointError: the weights cannot be read.
        """
        wanted = _what(settings)
        # The initial weights of a model that has read others are in its files alone.
        kept = wanted == self._of and all(
            name in self._policies and (weights or name not in self._weights) for name in names
        )
        if not kept:
            self.close()
            started = sorted({*names, *self._uses})
            self._policies = start_policies(settings, pair, started, reference=False)
            self._of = wanted
        policies = {name: self._policies[name] for name in names}
        others = {n: p for n, p in policies.items() if self._weights.get(n) != weights}
        if weights and others:
            load_policies(weights, others, weights_only=True)
            self._weights |= dict.fromkeys(others, weights)
        return policies

    def close(self) -> None:
        """End Ray and all that runs in it."""
        self._of, self._policies, self._weights = {}, {}, {}
        if ray.is_initialized():
            ray.shutdown()


def _what(settings: Settings) -> dict[str, Any]:
    """The settings that decide what is started."""
    # Of servers whose requests have no seed of their own, the seed is theirs.
    asked = _ASKED | {"seed"} if settings.hardware.seeded_requests else _ASKED
    wanted = settings.model_dump(mode="json", by_alias=True, exclude=asked)
    wanted["data"].pop("train")
    return wanted
