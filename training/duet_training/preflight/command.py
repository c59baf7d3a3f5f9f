"""`duet-train preflight`: checks a run in seconds, before it is queued."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from duet_contract.errors import ContractError
from duet_contract.terminal import printable
from duet_training.errors import ConfigError, TrainingError
from duet_training.pair.description import Pair
from duet_training.pair.prompting import PairPrompts
from duet_training.preflight import host, run
from duet_training.preflight.findings import Finding, lines, verdict
from duet_training.preflight.memory import ModelShape, memory_table, shape_of
from duet_training.settings.run import Settings

Made = TypeVar("Made")


class Preflight:
    """Collects findings; what one check makes, later ones use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.findings: list[Finding] = []
        self.phases: dict[str, dict[str, float]] = {}

    def look(self) -> None:
        """Run every check that can be run."""
        settings, hardware = self._settings, self._settings.hardware
        self._do("versions", lambda: host.versions(hardware.platform))
        self._do("GPUs", lambda: host.gpus(hardware))
        self._do("Ray", lambda: host.cluster(hardware))
        pair = self._do("pair", lambda: run.local_pair(settings), Pair)
        built, shapes, paths = None, dict[str, ModelShape](), dict[str, Path]()
        if pair:
            paths = pair.paths
            for name in settings.policies:
                self._do(name, partial(self._model, name, paths[name]))
            built = self._do("prompts", lambda: run.prompts(pair, settings), PairPrompts)
            shapes = self._shapes(paths)
            self._do("adapters", lambda: run.adapters(settings, paths))
        digest = self._do("data", lambda: run.data(settings, built), str)
        configs = self._do("VERL's settings", lambda: run.verl(settings, paths), dict)
        if shapes and configs:
            found = self._do("memory", lambda: run.memory(settings, shapes, configs), dict)
            self.phases = found or {}
        if shapes:
            self._do("disk", lambda: host.disk(settings, shapes))
        self._do("out", lambda: run.earlier_run(settings, digest))

    def _shapes(self, paths: dict[str, Path]) -> dict[str, ModelShape]:
        try:
            return {name: shape_of(paths[name]) for name in self._settings.policies}
        except ConfigError:
            return {}  # the model's own check reports it

    def _model(self, name: str, path: Path) -> Iterator[Finding]:
        settings = self._settings
        prompt, response = settings.data.max_prompt, settings.tokens.response
        if name == "decoder":
            prompt, response = settings.tokens.decoder_prompt, settings.tokens.answer
        return run.model(name, path, prompt + response)

    def _do(
        self,
        what: str,
        check: Callable[[], Iterator[Finding | Made]],
        makes: type[Made] | None = None,
    ) -> Made | None:
        """Add a check's findings; return the object of type `makes` that it yields, if any."""
        made = None
        try:
            for found in check():
                if isinstance(found, Finding):
                    self.findings.append(found)
                elif makes and isinstance(found, makes):
                    made = found
        except (TrainingError, ContractError, OSError) as error:
            self.findings.append(run.as_finding(what, error))
        return made


def run_checks(settings: Settings) -> int:
    """Print the table of checks; return 1 if anything blocks the run, else 0."""
    os.environ.setdefault("VERL_LOGGING_LEVEL", "ERROR")
    preflight = Preflight(settings)
    preflight.look()
    print("\n".join(map(printable, lines(preflight.findings))))
    if preflight.phases:
        print("\n".join(["", *memory_table(preflight.phases, settings.hardware.device_memory), ""]))
    print(verdict(preflight.findings))
    return int(any(finding.status == "fail" for finding in preflight.findings))
