"""Receipt: what a question cost, one schema for `--json`, history, the bench and the API."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from duet_contract.manifest import Manifest

Source = Literal["duet", "device", "history"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tokens(_Model):
    """Tokens of the question as sent (decoder's vocabulary), of the signal and of the answer.

    `context`: of private material that the decoder was given beside the question.
    """

    question: int
    signal: int
    answer: int
    context: int = 0


class Bytes(_Model):
    """Bytes of the messages on the link, as gRPC frames them (HTTP/2 and TLS excluded)."""

    up: int
    down: int


class Milliseconds(_Model):
    """Milliseconds since the command started; None where it did not happen.

    `connect`: the link stood. `first_signal`, `signal`: first and last chunk arrived.
    `first_answer`: first answer token. `total`: last answer token.
    """

    connect: float | None
    first_signal: float | None
    signal: float | None
    first_answer: float | None
    total: float


class Flops(_Model):
    """Estimated floating-point operations of the large model: 2 x parameters x tokens generated.

    `reasoner`: spent on this question. `reasoner_alone`: what it would have spent on reasoning and
    answer by itself. Paper, section on efficiency; the attention term is left out as small.
    """

    reasoner: float
    reasoner_alone: float


class Receipt(_Model):
    """The answer and what it cost.

    `finish`: `end` where the model ended its answer, `limit` where the answer reached its limit;
    followed by `+budget` where the signal was cut at its budget.

    `confidence`: probability that the decoder gave its least likely answer token; None where the
    pair names no threshold. `low_confidence`: it is below that threshold, or the answer is not the
    last result that the signal computed.
    """

    answer: str
    signal: str
    source: Source
    pair: str
    request_id: str
    finish: str
    tokens: Tokens
    bytes: Bytes
    ms: Milliseconds
    flops: Flops
    value: str | None = None
    """The final answer as a person writes it, such as "16" or "3/4"; None if the answer is empty."""
    confidence: float | None = None
    low_confidence: bool = False


def estimate_flops(manifest: Manifest, signal_tokens: int, answer_tokens: int) -> Flops:
    """Large-model FLOPs of a question, and of the reasoner answering it alone.

    Alone, the reasoner spends what its manifest's evaluation measured; without such a figure, at
    least the signal and the answer, so the estimate then errs towards no saving.
    """
    per_token = 2.0 * manifest.reasoner.parameters
    measured = [
        figure.reasoner_alone_tokens
        for figure in manifest.evaluation
        if figure.reasoner_alone_tokens is not None
    ]
    alone = sum(measured) / len(measured) if measured else signal_tokens + answer_tokens
    return Flops(
        reasoner=per_token * signal_tokens,
        reasoner_alone=per_token * max(alone, signal_tokens),
    )
