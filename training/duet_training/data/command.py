"""`duet-train data prepare`: reads, splits and writes a data set."""

from types import SimpleNamespace

from duet_contract.json_data import parse_json
from duet_training.data.gym import generate
from duet_training.data.hub import read_set
from duet_training.data.jsonl import read_jsonl
from duet_training.data.rows import Problem, questions_of, write_rows
from duet_training.data.selection import fitting
from duet_training.data.sets import SETS
from duet_training.data.splits import Splits, split, split_stories
from duet_training.data.story_problems.draw import Split
from duet_training.errors import DataError
from duet_training.files import write_json
from duet_training.pair.description import load_pair
from duet_training.pair.prompting import PairPrompts


def _read(arguments: SimpleNamespace) -> tuple[list[Problem], int]:
    name: str = arguments.name
    if arguments.instruction == "data" and name not in SETS:
        raise DataError(f"--instruction data: only {', '.join(SETS)} have their own instruction")
    if name == "jsonl":
        if not arguments.source:
            raise DataError("jsonl needs --from FILE")
        return read_jsonl(arguments.source, arguments.verifier)
    if name.startswith("gym:"):
        options = dict(_option(text) for text in arguments.options)
        return generate(name.removeprefix("gym:"), arguments.size, arguments.seed, options)
    if name not in SETS:
        raise DataError(
            f"there is no data set {name!r}; there are: {', '.join(SETS)}, jsonl, "
            "gym:TASK, stories:SCOPE"
        )
    released = arguments.instruction == "data"
    return read_set(name, SETS[name], arguments.source, arguments.seed, released=released)


def _option(text: str) -> tuple[str, object]:
    key, separator, value = text.partition("=")
    try:
        if separator:
            return key, parse_json(value)
    except ValueError:
        pass
    raise DataError(f"--option {text!r} is not KEY=JSON")


def _split(
    arguments: SimpleNamespace, prompts: PairPrompts | None, excluded: frozenset[str]
) -> tuple[Splits, int, int]:
    """The splits, and the numbers of problems without an answer and of too long problems."""
    if arguments.name.startswith("stories:"):
        validation = 100 if arguments.validation is None else arguments.validation
        counts: dict[Split, int] = {
            "train": arguments.size,
            "validation": validation,
            "test": arguments.test,
        }
        scope = arguments.name.removeprefix("stories:")
        splits = split_stories(scope, arguments.seed, counts, excluded)
        too_long = 0
        if prompts:
            for name, part in splits.parts.items():
                splits.parts[name], long = fitting(part, prompts, arguments.max_prompt)
                too_long += long
        return splits, 0, too_long
    problems, without = _read(arguments)
    too_long = 0
    if prompts:
        problems, too_long = fitting(problems, prompts, arguments.max_prompt)
    hub_set = SETS.get(arguments.name)
    validation, test = arguments.validation, arguments.test
    if hub_set and not hub_set.training:
        # Evaluation only: every problem is for testing.
        validation, test = 0, len({p.key for p in problems} - excluded)
    elif validation is None:
        validation = min(100, len(problems) // 10)
    splits = split(
        problems, seed=arguments.seed, validation=validation, test=test, exclude=excluded
    )
    return splits, without, too_long


def prepare(arguments: SimpleNamespace) -> dict[str, object]:
    """Read, split, measure and write; return the report that is printed and saved."""
    prompts = PairPrompts(load_pair(arguments.pair)) if arguments.pair else None
    excluded = frozenset(questions_of(arguments.exclude))
    splits, without, too_long = _split(arguments, prompts, excluded)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, part in splits.parts.items():
        write_rows(part, name, arguments.out / f"{name}.parquet")
    report: dict[str, object] = {
        "name": arguments.name,
        "seed": arguments.seed,
        **{name: len(part) for name, part in splits.parts.items()},
        "without_answer": without,
        "repeated_or_excluded": splits.repeats,
        "of_tested_templates_unused": splits.unused,
    }
    if prompts:
        report["too_long"] = too_long
        report["max_prompt"] = arguments.max_prompt
    write_json(arguments.out / "report.json", report, indent=2)
    return report
