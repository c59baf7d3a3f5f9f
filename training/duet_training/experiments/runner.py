"""Runs stages, some in parallel; an interrupted stage resumes where it stopped."""

import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Sequence, Set
from pathlib import Path
from threading import Lock
from typing import Any

from duet_contract.json_data import parse_json, read_json
from duet_training.data.rows import write_rows
from duet_training.data.story_problems.draw import Split, problems
from duet_training.errors import CommandError, CommandTimeout
from duet_training.experiments import stopping_policy
from duet_training.experiments.plan import POLICY
from duet_training.experiments.processes import Processes
from duet_training.experiments.rates import chosen
from duet_training.experiments.results import Results, of_run
from duet_training.experiments.reward_ablation import measured
from duet_training.experiments.stage import Stage
from duet_training.experiments.stage_runner import run_stages
from duet_training.files import steps_saved
from duet_training.rl.metrics_log import read_metrics_log

# Questions to train on: several times what the longest run sees.
TRAINING = 4000
HELD: tuple[tuple[Split, int], ...] = (("validation", 200), ("test", 1000))
_CHECKPOINT, _RATE = re.compile(r"\{checkpoint:([^}]+)\}"), re.compile(r"\{rate:([^}]+)\}")
# Answers that a result stores, if the command writes answers.
ANSWERS = 6
SCOPES_OF_DATA = ("easy", "long", "other", "hard")


class ExperimentRunner:
    """Runs stages and writes their results.

    Weights, data and logs are in the working directory of `results`, which may be deleted.
    """

    def __init__(self, results: Results, say: Callable[[str], None] = print) -> None:
        self._results, self._work, self._say = results, results.work, say
        self._remaking = Lock()
        self._processes = Processes()

    def run(
        self, stages: Sequence[Stage], until: float, names: Set[str], jobs: int = 1
    ) -> list[Stage]:
        """Run the stages of these `names` that are not done yet; return those that are left.

        At most `jobs` processes run at a time, and none starts `until` then (monotonic clock).

        Raises:
            CommandError: A command failed, or the result that a stage reads is missing.
        """
        # Two stages that both use every core would mostly wait for each other's threads.
        cores = len(os.sched_getaffinity(0))

        def run(together: Sequence[Stage], alone: bool) -> None:
            threads = cores if alone else max(1, cores // jobs)
            for stage in together:
                if missing := [name for name in stage.reads if not self._results.done(name)]:
                    raise CommandError(f"{stage.name} needs the result of {', '.join(missing)}")
                # One at a time: two stages may need the same files.
                with self._remaking:
                    self._remake(stage, stages, threads)
            if together[0].kind == "evaluate":
                self._evaluate(together, threads)
            else:
                began = time.monotonic()
                done = self._do(together[0], threads)
                self._keep(together[0], *done, time.monotonic() - began)

        return run_stages(
            [s for s in stages if s.name in names and not self._results.done(s.name)],
            run,
            done=lambda stage: self._results.done(stage.name),
            jobs=jobs,
            until=until,
            interrupt=self._processes.stop,
            say=self._say,
        )

    def _keep(self, stage: Stage, result: dict[str, Any], whole: bool, seconds: float) -> None:
        """Write a stage's result with its duration in minutes."""
        minutes = seconds / 60
        content = {"stage": stage.name, "kind": stage.kind, "seed": stage.seed}
        content |= {"why": stage.why, "arguments": stage.arguments}
        content |= {"minutes": round(minutes, 2), "whole": whole, "result": result}
        self._results.write(stage.name, content)
        self._say(f"    {stage.name}: {_summary(result)}  {minutes:.1f} min")

    def _remake(self, stage: Stage, stages: Sequence[Stage], threads: int) -> None:
        """Rerun required stages whose result exists without their files (a new clone)."""
        for need in stage.needs:
            needed = next(other for other in stages if other.name == need)
            if not self._files(needed).exists():
                self._remake(needed, stages, threads)
                self._say(f"    {need} runs again: its files are not in {self._work}")
                self._do(needed, threads)

    def _files(self, stage: Stage) -> Path:
        if stage.kind == "train":
            return self._work / "runs" / stage.name / "done"
        return self._work / stage.name / "done" if stage.kind == "start" else self._work / "data"

    def _do(self, stage: Stage, threads: int) -> tuple[dict[str, Any], bool]:
        """Run a stage; return its result, and whether it ended before its limit."""
        if stage.name == POLICY:
            return {"rules": stopping_policy.measured()}, True
        if stage.kind == "mechanism":
            return {"pressure": measured()}, True
        if stage.kind == "data":
            return self._data(), True
        if stage.kind in ("start", "measure"):
            whole = self._command(
                stage, "duet_training sft scratch", self._arguments(stage), threads
            )
            log = self._log(stage).read_text("utf-8")
            if stage.kind == "measure":
                return parse_json(log.strip().splitlines()[-1]), whole
            self._files(stage).touch()
            # Progress bars of loading and saving are between these lines.
            told = [line for line in log.splitlines() if "loss" in line]
            return {"last": told[-1] if told else ""}, whole
        run = self._work / "runs" / stage.name
        resumed = ["resume=true"] if (run / "checkpoints").is_dir() else []
        whole = self._command(
            stage, "duet_training run", [*self._arguments(stage), *resumed], threads
        )
        self._files(stage).touch()
        return of_run(run), whole

    def _evaluate(self, stages: Sequence[Stage], threads: int) -> None:
        """Run evaluations in one process; an interruption keeps the finished ones.

        The first one's duration includes the start of the models.
        """
        first, directory = stages[0], self._work / "evaluations"
        directory.mkdir(parents=True, exist_ok=True)
        outs = {stage: directory / f"{stage.name}.json" for stage in stages}
        for out in outs.values():
            out.unlink(missing_ok=True)
        lines = [shlex.join([*self._arguments(s), f"out={out}"]) for s, out in outs.items()]
        asked = directory / f"{first.name}.txt"
        asked.write_text("\n".join(lines) + "\n", "utf-8")
        before = time.time()
        try:
            limit = sum(stage.limit for stage in stages)
            if not self._command(
                first, "duet_training evaluate", ["--batch", str(asked)], threads, limit
            ):
                raise CommandError(f"{first.name} and others took more than {limit:g} minutes")
        finally:
            for stage, out in outs.items():
                if not out.is_file():
                    break
                result: dict[str, Any] = read_json(out)
                if (answers := out.with_suffix(".jsonl")).is_file():
                    result["samples"] = read_metrics_log(answers)[:ANSWERS]
                ended = out.stat().st_mtime
                self._keep(stage, result, True, ended - before)
                before = ended

    def _arguments(self, stage: Stage) -> list[str]:
        filled = [argument.replace("{work}", str(self._work)) for argument in stage.arguments]
        filled = [_RATE.sub(lambda m: chosen(self._results, m[1]), a) for a in filled]
        return [_CHECKPOINT.sub(lambda m: str(self._checkpoint(m[1])), a) for a in filled]

    def _checkpoint(self, run: str) -> Path:
        checkpoints = self._work / "runs" / run / "checkpoints"
        if not (steps := steps_saved(checkpoints)):
            raise CommandError(f"{run} has left no checkpoint in {checkpoints.parent}")
        return checkpoints / f"step_{steps[-1]}"

    def _log(self, stage: Stage) -> Path:
        return self._work / "logs" / f"{stage.name}.log"

    def _command(
        self,
        stage: Stage,
        module: str,
        arguments: Sequence[str],
        threads: int = 1,
        limit: float | None = None,
    ) -> bool:
        """Run it; return False if it hit its `limit` in minutes (None: the stage's limit)."""
        log = self._log(stage)
        log.unlink(missing_ok=True)
        try:
            self._processes.run(
                stage.name,
                [sys.executable, "-m", *module.split(), *arguments],
                log,
                limit_s=60 * (limit or stage.limit),
                environment={"OMP_NUM_THREADS": str(threads)},
            )
        except CommandTimeout:
            return False
        return True

    def _data(self) -> dict[str, Any]:
        counts = {}
        for scope in SCOPES_OF_DATA:
            parts = HELD
            if scope in ("easy", "hard"):
                parts = (("train", TRAINING), *HELD)
            for split, count in parts:
                directory = self._work / "data" / scope
                directory.mkdir(parents=True, exist_ok=True)
                drawn = problems(scope, split, count, 0)
                write_rows(drawn, split, directory / f"{split}.parquet")
                counts[f"{scope}/{split}"] = len(drawn)
        return counts


def _summary(result: dict[str, Any]) -> str:
    """Summarize a result in one line."""
    if "accuracy" in result:
        low, high = result["accuracy_95"]
        tokens = result["reasoner_tokens"]
        return f"accuracy {result['accuracy']:.3f} [{low:.3f}, {high:.3f}], {tokens:.1f} tokens"
    if "pressure" in result:
        return f"{len(result['pressure'])} settings"
    if "rules" in result:
        return f"{len(result['rules'])} rules"
    if "curves" in result:
        lengths = result["curves"].get("tokens/length", [])
        return f"{result['steps']} steps, length {lengths[0][1]:.0f} to {lengths[-1][1]:.0f}"
    return ", ".join(f"{key} {value}" for key, value in list(result.items())[:12])
