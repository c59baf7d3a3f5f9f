"""What a test of `duet-bench split` asks: a small pair, its questions, and where the report goes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from duet_tools.results.report import Report
from tests.doubles.commands import bench_split
from tests.doubles.decoder import ScriptedDecoder


@dataclass
class Bench:
    """Files of a run."""

    data: Path
    """File of the questions."""
    out: Path
    """Directory of the report."""
    pair: Path
    """Directory of the pair."""
    decoder: ScriptedDecoder
    """Decoder that the run loads."""

    @property
    def files(self) -> list[str]:
        """The options that name them."""
        return ["--data", str(self.data), "--pair", str(self.pair), "--out", str(self.out)]

    def run(self, *options: str) -> int:
        """Run the command; return its exit code."""
        return bench_split([*self.files, *options])

    @property
    def report(self) -> Report:
        return Report.read(self.out / "report.json")

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The records of the questions."""
        lines = (self.out / "questions.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]
