"""Calibration of a pair: the thresholds from which a device decides how many tokens a question needs.

A calibration is fitted on questions with known answers, and is valid for one pair and one decoder
file: quantization changes probabilities. `calibration.json` is in the pair's directory, named and
signed by its manifest, or on the device of the user who fitted it.
"""

import math
import operator
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from duet_contract.described import Described
from duet_contract.errors import ManifestError
from duet_contract.integrity import describe_file
from duet_contract.json_data import faults
from duet_contract.manifest import MANIFEST_NAME, Manifest, Positive, Sha256, load_manifest

CALIBRATION_NAME = "calibration.json"
CALIBRATION_SCHEMA = 2

Share = Annotated[float, Field(ge=0, le=1)]
Decision = Literal["gate", "stop", "more", "mark"]
"""What a threshold decides: no signal at all, end the signal here, ask for more of it, mark the
answer."""


class _Model(Described):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Threshold(_Model):
    """One decision: its measure, and the value from which the device trusts itself."""

    measure: str
    """Name of the measure. Every measure is higher where an answer is more likely to be right."""
    at_least: float
    """The device trusts itself at this value and above: it keeps the question, ends the signal,
    asks for no more, leaves the answer unmarked."""
    risk: Share
    """Share of wrong decisions that was allowed (alpha)."""
    failure: Share
    """Probability that the true share is above `risk` (delta)."""
    trusted: Share
    """Share of the calibration's test questions at or above the threshold."""
    right: Share
    """Share of right answers among those."""
    signal_tokens: Annotated[float, Field(ge=0)]
    """Mean signal tokens a question on the test questions, with this decision alone."""
    chances: tuple[tuple[float, Share], ...] = ()
    """Probability of a right answer from each value of the measure upward, in rising order."""

    def chance(self, value: float) -> float | None:
        """Return the probability that an answer with this value is right; None if not fitted.

        Examples:
            >>> threshold = Threshold(
            ...     measure="margin", at_least=0.5, risk=0.1, failure=0.05, trusted=0.4,
            ...     right=0.93, signal_tokens=7.5, chances=((0.1, 0.2), (0.5, 0.9)),
            ... )
            >>> threshold.chance(0.0), threshold.chance(0.3), threshold.chance(0.5)
            (0.2, 0.2, 0.9)
        """
        return chance_at(self.chances, value) if self.chances else None


def chance_at(chances: Sequence[tuple[float, float]], value: float) -> float:
    """Return the probability of a value, by at least one value and probability in rising order."""
    at = bisect_right([least for least, _ in chances], value)
    return chances[max(0, at - 1)][1]


class Probe(_Model):
    """A linear probe on the decoder's last hidden state after the question."""

    weights: tuple[float, ...]
    """One weight per dimension of the state."""
    bias: float
    """Added to the product."""


class Judge(Probe):
    """A linear function of an answer's features: the log odds that it is right."""

    features: tuple[str, ...]
    """Names of the features, one per weight."""

    @model_validator(mode="after")
    def _one_weight_each(self) -> Self:
        if len(self.features) != len(self.weights):
            raise ValueError("a judge has one weight for each of its features")
        return self

    def log_odds(self, features: Mapping[str, float]) -> float | None:
        """Return the log odds that an answer is right; None if a feature is unknown.

        Examples:
            >>> judge = Judge(features=("steps", "unused"), weights=(0.5, -2.0), bias=1.0)
            >>> judge.log_odds({"steps": 2.0, "unused": 1.0, "other": 9.0})
            0.0
            >>> judge.log_odds({"steps": 2.0}) is None
            True
        """
        values = [features.get(name) for name in self.features]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return None
        return math.fsum(map(operator.mul, self.weights, known)) + self.bias


class Calibration(_Model):
    """Thresholds of one pair with one decoder file."""

    schema_: Annotated[int, Field(ge=1)] = Field(alias="schema")
    """Version of this format."""
    pair: str
    """`id@version` of the pair."""
    decoder_sha256: Sha256
    """Hash of the decoder file whose probabilities were measured."""
    data: str
    """Name of the data."""
    against: Literal["answers", "cloud"] = "answers"
    """What counts as right: the data's answers, or what the pair answers with the whole signal."""
    questions: Positive
    """Questions that the thresholds were fitted on."""
    tokens: Annotated[float, Field(ge=0)]
    """Mean tokens of a whole signal, from which a receipt counts spared tokens."""
    gate: Threshold | None = None
    """From the question alone: whether the device needs a signal."""
    stop: Threshold | None = None
    """At every chunk: whether the signal so far is enough."""
    more: Threshold | None = None
    """After the answer: whether the device asks for more."""
    mark: Threshold | None = None
    """After the answer: whether it is marked as doubtful."""
    probe: Probe | None = None
    """Weights of the measure `probe`."""
    judge: Judge | None = None
    """Weights of the measure `judge`."""

    def threshold(self, decision: Decision) -> Threshold | None:
        """Return the threshold of a decision; None if it was not calibrated.

        Examples:
            >>> threshold = Threshold(
            ...     measure="margin", at_least=0.5, risk=0.1, failure=0.05, trusted=0.4,
            ...     right=0.93, signal_tokens=7.5,
            ... )
            >>> made = Calibration(
            ...     schema=1, pair="tiny@1.0.0", decoder_sha256="0" * 64, data="sums", questions=500,
            ...     tokens=12.5, gate=threshold,
            ... )
            >>> made.threshold("gate").measure
            'margin'
        """
        found: Threshold | None = getattr(self, decision)
        return found

    def to_json(self) -> str:
        """Return the calibration as it is written to `calibration.json`."""
        return self.model_dump_json(by_alias=True, indent=2, exclude_none=True) + "\n"


def parse_calibration(text: str, source: str = CALIBRATION_NAME) -> Calibration:
    """Read a calibration from JSON text; `source` names it in errors.

    Raises:
        ManifestError: not JSON, of a newer schema, or invalid.
    """
    try:
        made = Calibration.model_validate_json(text)
    except ValidationError as error:
        raise ManifestError(
            f"{source} is not a calibration: {faults(error, 'calibration', 1)}; make it with: "
            "duet-device calibrate DATA"
        ) from error
    if made.schema_ > CALIBRATION_SCHEMA:
        raise ManifestError(
            f"{source} has schema {made.schema_}, this DUET reads up to {CALIBRATION_SCHEMA}: "
            "upgrade duet-contract, or make it with: duet-device calibrate DATA"
        )
    return made


def check_calibration(
    made: Calibration, manifest: Manifest, source: str = CALIBRATION_NAME
) -> None:
    """Refuse a calibration that is not of a pair and its decoder file.

    Args:
        made: as parsed.
        manifest: the pair's.
        source: names it in errors.

    Raises:
        ManifestError: says how to make one that is.
    """
    again = f"duet-device calibrate DATA --pair {manifest.id}"
    if made.pair != manifest.reference:
        raise ManifestError(
            f"{source} is of {made.pair}, not of {manifest.reference}: make one with: {again}"
        )
    if made.decoder_sha256 != manifest.decoder_sha256:
        raise ManifestError(
            f"{source} was measured with another decoder file of {manifest.id}, and quantization "
            f"changes probabilities: make it again with: {again}"
        )


def add_calibration(directory: Path, file: Path) -> Manifest:
    """Copy a calibration into a pair and name it in the manifest; the caller signs the pair again.

    Args:
        directory: the pair's.
        file: a calibration of this pair and its decoder file; it replaces one that is there.

    Raises:
        ManifestError: it is not of this pair, or one of the files cannot be read or written.
    """
    manifest = load_manifest(directory)
    try:
        made = parse_calibration(file.read_text("utf-8"), str(file))
        check_calibration(made, manifest, str(file))
        target = directory / CALIBRATION_NAME
        target.write_text(made.to_json(), "utf-8")
        manifest = manifest.model_copy(update={"calibration": describe_file(directory, target)})
        (directory / MANIFEST_NAME).write_text(manifest.to_json(), "utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"cannot add {file} to {directory}: {error}") from error
    return manifest
