"""Writes the generated parts of the documents: tables, pictures and the help of commands.

    python docs/scripts/generate.py            write what is stale
    python docs/scripts/generate.py --check    exit 1 and name what is stale

The bench's tables in `docs/benchmarks.md` are written by `make bench` and `make report`.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import chunks
import command_help
import figures
import pictures
import style_check
from drawing import SCHEMES
from duet_report.blocks import put_block
from duet_tools.marks.figures import MarksReport
from duet_tools.policy.savings import PolicyResults
from duet_tools.privacy.table import privacy_table, relations_table
from duet_tools.report.fault_table import fault_table
from duet_tools.report.figures import markdown as figures_table
from duet_tools.report.marks_table import further_table, marks_table
from duet_tools.report.policy_table import policy_table
from duet_tools.results.faults import FaultMatrix
from duet_tools.results.figures import Results
from duet_tools.results.privacy import PrivacyResults
from duet_training.pair.differences import differences

ROOT = Path(__file__).resolve().parents[2]
IMAGES = Path("docs/images")
LOCAL = ROOT / "tools/duet_tools/results/local.json"
FAULTS = ROOT / "tools/duet_tools/results/faults.json"
MARKS = ROOT / "tools/duet_tools/results/marks.json"
POLICY = ROOT / "tools/duet_tools/results/policy.json"
PRIVACY = ROOT / "tools/duet_tools/results/privacy.json"
CHUNKS = ROOT / "tools/duet_tools/results/chunks.json"
REPLICAS = ROOT / "tools/duet_tools/results/replicas.json"


def documents() -> Iterator[tuple[Path, str]]:
    """Every generated file, as its path in the repository and what it has to hold."""
    yield Path("docs/commands.md"), command_help.page()
    yield _with_block("docs/style.md", "phrases", _phrases())
    pairs = figures.released_pairs()
    table = figures.pairs_table(pairs)
    yield _with_block("README.md", "pairs", table)
    judged = MarksReport.model_validate_json(MARKS.read_text("utf-8"))
    by_chunks = Results.read(CHUNKS)
    blocks = {
        "pairs": table,
        "chunks": chunks.chunk_table(by_chunks),
        "marks": marks_table(judged),
        "further": further_table(judged),
        "policy": policy_table(PolicyResults.read(POLICY)),
        "local": figures_table(Results.read(LOCAL)),
        "replicas": figures_table(Results.read(REPLICAS)),
    }
    yield _with_blocks("docs/benchmarks.md", blocks)
    yield _with_block("docs/faults.md", "faults", fault_table(FaultMatrix.read(FAULTS)))
    captured = {
        "captured": privacy_table(PrivacyResults.read(PRIVACY)),
        "relations": relations_table(),
    }
    yield _with_blocks("docs/privacy.md", captured)
    yield _with_block("docs/training.md", "released", differences())
    tables = {
        "greedy": "Methods, greedy",
        "rewards": "Rewards at equal tokens",
        "signals": "What signals carry",
        "aggregation": "Loss aggregation, without a model",
        "driver": "Driver overhead",
    }
    found = {name: _experiments_table(heading) for name, heading in tables.items()}
    yield _with_blocks("docs/experiments.md", found)
    for scheme in SCHEMES:
        for name, draw in pictures.PICTURES.items():
            yield IMAGES / f"{name}-{scheme.name}.svg", draw(scheme)
        yield IMAGES / f"accuracy-{scheme.name}.svg", figures.accuracy_plot(pairs, scheme)
        yield IMAGES / f"chunks-{scheme.name}.svg", chunks.chunk_plot(by_chunks, scheme)


def _with_block(path: str, name: str, text: str) -> tuple[Path, str]:
    return Path(path), put_block((ROOT / path).read_text("utf-8"), name, text)


def _with_blocks(path: str, blocks: Mapping[str, str]) -> tuple[Path, str]:
    text = (ROOT / path).read_text("utf-8")
    for name, block in blocks.items():
        text = put_block(text, name, block)
    return Path(path), text


def _phrases() -> str:
    rows = (
        f"| `{phrase.replace('|', chr(92) + '|')}` | {instead} |\n"
        for phrase, instead in style_check.RULES.items()
    )
    return "| phrase | write |\n|---|---|\n" + "".join(rows)


def _experiments_table(heading: str) -> str:
    """The table below a heading of the report of the experiments, without rows that have no result."""
    text = (ROOT / "training/EXPERIMENTS.md").read_text("utf-8")
    section = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    rows = [line for line in table if "not run" not in line]
    # The head and the line below it.
    return "".join(f"{line}\n" for line in rows) if len(rows) > 2 else "*Not run yet.*\n"


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = argparse.ArgumentParser(description="Write the generated parts of the documents.")
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 if stale")
    asked = parser.parse_args(arguments)
    stale = []
    for path, wanted in documents():
        file = ROOT / path
        if not file.is_file() or file.read_text("utf-8") != wanted:
            stale.append(str(path))
            if not asked.check:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(wanted, "utf-8")
    if stale and asked.check:
        print(f"stale: {', '.join(stale)}; run: make docs-update", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
