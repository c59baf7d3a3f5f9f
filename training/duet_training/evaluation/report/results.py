"""Reads what was run: results of `duet-train evaluate`, and the metrics of runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from duet_contract.json_data import read_json
from duet_training.data.rows import paths_of, read_rows
from duet_training.errors import DataError, TrainingError
from duet_training.evaluation.metrics import intelligence_per_token
from duet_training.files import steps_saved
from duet_training.rl.metrics_log import read_metrics_log
from duet_training.rl.renamed import current_settings

UNTRAINED = frozenset({"original", "prompted", "truncated", "alone"})


@dataclass(frozen=True)
class Training:
    """How a checkpoint was trained."""

    run: Path
    """Directory of the run."""
    data: str
    """Name of the training set."""
    seed: int
    """Seed of the run."""
    variant: str
    """See `variant_of`."""
    budget: float | None
    """Budget B of the length penalty in tokens; None: the method has none."""
    constant: float | None
    """Constant length penalty (lambda); None: it follows a schedule."""


@dataclass(frozen=True)
class Result:
    """One evaluation. Token counts are means per question."""

    file: Path
    """File of the evaluation."""
    method: str
    """Evaluated method."""
    data: str
    """Name of the test set."""
    questions: int
    """Number of questions."""
    accuracy: float
    """Share of right answers."""
    accuracy_95: tuple[float, float]
    """95% interval over questions."""
    reasoner_tokens: float
    """Tokens of the reasoner."""
    decoder_tokens: float
    """Tokens of the decoder."""
    seed: int
    """Seed of the evaluation's samples."""
    cut_at: int | None
    """Tokens after which a truncated signal was cut; None: signals were not cut."""
    step: int | None
    """Step of the evaluated checkpoint; None: the models were not trained in a run."""
    trained: bool
    """Whether the evaluated weights are a run's."""
    training: Training | None
    """How the checkpoint was trained; None: not known."""
    seconds: float | None
    """Duration of the whole evaluation on the machine that ran it; None if not recorded."""
    flops: float | None
    """Mean FLOPs per question; None if not recorded."""
    signal: Mapping[str, Any] | None = None
    """What its signals carry (`duet-train evaluate method=signal`); None if not measured."""

    @property
    def ipt(self) -> float | None:
        """1000 * accuracy / tokens of the reasoner."""
        return intelligence_per_token(self.accuracy, self.reasoner_tokens)


@dataclass(frozen=True)
class Run:
    """A run's `metrics.jsonl`, one row per step."""

    directory: Path
    """Directory of the run."""
    training: Training | None
    """How the run trains; None: not known."""
    method: str
    """Trained method."""
    rows: list[dict[str, float]]
    """Metrics of each step, by name."""


def variant_of(objective: Mapping[str, Any]) -> str:
    """Name the run's changes to the method's defaults; "default" without changes."""
    penalty = objective["length_penalty"]
    constant = penalty["schedule"] == "constant"
    switches = {
        "no-mu": objective["baseline"] == "none",
        "shared-r_m": objective["baseline"] == "per_question",
        "no-penalty": constant and penalty["start"] == 0,
        "constant": constant and penalty["start"] != 0,
        "no-clip": not constant and penalty["clip"] is None,
        "no-kl": objective["kl"]["coefficient"] == 0,
        "fixed-m": not objective["train_decoder"],
        "m-learns-alone": objective["decoder_learns_from"] == "guided_and_alone",
        "no-std": not objective["divide_by_std"],
        "penalty-on-success": objective["length_on_success_only"],
        "signal-length": objective["counted"] == "signal",
        "dense": objective.get("reward") == "dense",
        "prefix": objective.get("read") == "prefix",
        "withheld": objective.get("read") == "withheld",
        "stops-at-end": objective["stop_at_end_of_reasoning"],
    }
    # Checkpoints of runs with VERL's default rule do not name it.
    rule = objective.get("loss_aggregation", "token-mean")
    switches[rule] = rule != "token-mean"
    return "+".join(name for name, on in switches.items() if on) or "default"


def read(places: Sequence[Path]) -> tuple[list[Result], list[Run]]:
    """Read the given files and directories: JSON of evaluations, `metrics.jsonl` of runs.

    Raises:
        DataError: A path is missing, a file is neither, or there is nothing to read.
    """
    results, runs = [], []
    for place in places:
        if place.is_dir():
            runs += [read_run(file.parent) for file in sorted(place.rglob("metrics.jsonl"))]
            found = (_result_or_none(file) for file in sorted(place.rglob("*.json")))
            results += [result for result in found if result is not None]
        elif place.name == "metrics.jsonl":
            runs.append(read_run(place.parent))
        else:
            results.append(read_result(place))
    if not results and not runs:
        raise DataError(f"nothing was run in {', '.join(map(str, places))}")
    return results, runs


def read_result(file: Path) -> Result:
    """Read the JSON of one evaluation.

    Raises:
        DataError: The file cannot be read, or is not the result of an evaluation.
    """
    try:
        content = read_json(file)
        return _result(file, content)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {file}: {error}") from error
    except (KeyError, TypeError, IndexError) as error:
        raise DataError(f"{file} is not a result of duet-train evaluate ({error!r})") from error


def _result_or_none(file: Path) -> Result | None:
    """Read a file of a directory, which may also contain other JSON; return None for those."""
    try:
        content = read_json(file)
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or not {"accuracy_95", "reasoner_tokens"} <= content.keys():
        return None
    return read_result(file)


def _result(file: Path, content: Mapping[str, Any]) -> Result:
    settings = content["settings"]
    weights = settings["weights"]
    low, high = content["accuracy_95"]
    # What signals carry is measured along with the joint method's answers.
    method = "duet" if settings["method"] == "signal" else settings["method"]
    return Result(
        file=file,
        method=method,
        data=content["data"],
        questions=int(content["questions"]),
        accuracy=float(content["accuracy"]),
        accuracy_95=(float(low), float(high)),
        reasoner_tokens=float(content["reasoner_tokens"]),
        decoder_tokens=float(content["decoder_tokens"]),
        seed=int(settings["seed"]),
        cut_at=int(settings["cut_at"]) if method == "truncated" else None,
        step=_step(Path(weights)) if weights else None,
        trained=weights is not None,
        training=_training(Path(weights)) if weights else None,
        seconds=content.get("seconds"),
        flops=content.get("flops", {}).get("total"),
        signal=content.get("signal"),
    )


def _step(checkpoint: Path) -> int | None:
    number = checkpoint.name.removeprefix("step_")
    return int(number) if number.isdigit() else None


def _training(checkpoint: Path) -> Training | None:
    """Read a checkpoint's `state.json`; return None if the file is missing."""
    try:
        content = current_settings(read_json(checkpoint / "state.json")["settings"])
    except (OSError, ValueError, KeyError):
        return None
    objective = content["objective"]
    penalty = objective["length_penalty"]
    return Training(
        run=checkpoint.parent.parent,
        data=_source(paths_of(content["data"]["train"])),
        seed=int(content["seed"]),
        variant=variant_of(objective),
        budget=float(objective["budget"]),
        constant=float(penalty["start"]) if penalty["schedule"] == "constant" else None,
    )


def _source(files: tuple[Path, ...]) -> str:
    """Name the training sets; use the directory's name if a file is missing."""
    return " + ".join(map(_name, files))


def _name(file: Path) -> str:
    try:
        return read_rows(file)[0].source
    except TrainingError:
        return file.parent.name or str(file)


def read_run(directory: Path) -> Run:
    """Read a run's metrics.

    Raises:
        DataError: The metrics cannot be read.
    """
    rows = read_metrics_log(directory / "metrics.jsonl")
    training, method = None, "duet"
    if steps := steps_saved(directory / "checkpoints"):
        last = directory / "checkpoints" / f"step_{steps[-1]}"
        training = _training(last)
        method = read_json(last / "state.json")["settings"].get("method", "duet")
    return Run(directory, training, method, rows)
