"""Runs the plan: a stage is done if its record has the same arguments, so the command resumes.

When every checkpoint of a run has been evaluated, its weights are deleted: some 150 GiB a run. Its
metrics and the checkpoints' `state.json`, which the report reads, stay.
"""

import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from duet_training.experiments.paper.plan import PaperStage
from duet_training.experiments.processes import Processes
from duet_training.experiments.results import Results
from duet_training.experiments.stage_runner import run_stages

_COMMANDS = {"data": "data prepare", "train": "run", "evaluate": "evaluate", "report": "report"}


class PaperRunner:
    """Runs stages in `out`, with their records, logs and lists of evaluations."""

    def __init__(self, plan: Sequence[PaperStage], out: Path, *, keep_weights: bool) -> None:
        """Set the plan and its directory; `keep_weights` deletes no checkpoint."""
        self._plan, self._out, self._keep_weights = plan, out, keep_weights
        self._processes = Processes()
        arguments = {stage.name: stage.arguments for stage in plan}
        # Its own directory is in no argument, so that paths stay as they are.
        self._records = Results(out / "stages", out / "stages", arguments)

    def done(self, stage: PaperStage) -> bool:
        """Whether a stage has run with its present arguments."""
        return self._records.done(stage.name)

    def run(self) -> None:
        """Run the stages that are left, one at a time: each uses every device.

        Raises:
            CommandError: A command failed; a second call continues.
        """
        run_stages(
            self._plan,
            self._run,
            done=self.done,
            interrupt=self._processes.stop,
            say=partial(print, flush=True),
        )

    def _run(self, together: Sequence[PaperStage], _alone: bool) -> None:
        (stage,) = together
        began = time.monotonic()
        command = [sys.executable, "-m", "duet_training", *_COMMANDS[stage.kind].split()]
        log = self._out / "logs" / f"{stage.name}.log"
        self._processes.run(stage.name, [*command, *self._words(stage)], log)
        minutes = round((time.monotonic() - began) / 60, 2)
        content = {"stage": stage.name, "kind": stage.kind, "arguments": list(stage.arguments)}
        self._records.write(stage.name, {**content, "minutes": minutes})
        print(f"    {stage.name}: {minutes:.1f} min", flush=True)
        self._delete_weights(stage)

    def _words(self, stage: PaperStage) -> list[str]:
        if stage.kind == "evaluate":
            file = self._out / "logs" / f"{stage.name}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(f"{shlex.join(line)}\n" for line in stage.lines), "utf-8")
            return ["--batch", str(file)]
        words = list(stage.arguments)
        if stage.kind == "train" and (self._out / "runs" / stage.name / "checkpoints").is_dir():
            words.append("resume=true")
        return words

    def _delete_weights(self, stage: PaperStage) -> None:
        """Delete a run's weights after its last evaluation."""
        run = stage.name.rpartition("@")[0]
        mine = [each for each in self._plan if each.name.rpartition("@")[0] == run]
        if self._keep_weights or not run or not all(map(self.done, mine)):
            return
        for policy in ("reasoner", "decoder"):
            for weights in (self._out / "runs" / run / "checkpoints").glob(f"step_*/{policy}"):
                shutil.rmtree(weights)
