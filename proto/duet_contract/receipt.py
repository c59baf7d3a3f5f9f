"""Receipt: what a question cost, one schema for `--json`, history, the bench and the API."""

from functools import partial
from typing import Annotated, Literal

from pydantic import ConfigDict, PlainSerializer

from duet_contract.described import Described
from duet_contract.manifest import Manifest

Source = Literal["duet", "device", "history"]
Outcome = Literal["complete", "continued", "moved", "partial", "alone"]
"""How a question to the cloud ended, best first; the order of fallback."""


Taken = Literal["cloud", "device"]


def _in_json(decimals: int) -> PlainSerializer:
    # Not a function in Python, in which a signal's exception could arise: pydantic would replace it.
    return PlainSerializer(
        partial(round, ndigits=decimals), return_type=float, when_used="json-unless-none"
    )


_Ms = Annotated[float, _in_json(1)]
_Rounded = Annotated[float, _in_json(4)]
# Whole operations: `duet-device stats` computes tokens from them.
_Operations = Annotated[float, _in_json(0)]


class _Model(Described):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tokens(_Model):
    """Token counts of a question, in the decoder's vocabulary unless stated.

    Examples:
        >>> tokens = Tokens(question=30, signal=16, answer=3, peer=24)
        >>> tokens.signal, tokens.peer
        (16, 24)
    """

    question: int
    """Tokens of the question as sent."""
    signal: int
    """Tokens of the signal, as the cloud counted them; those of all rounds together."""
    answer: int
    """Tokens of the answer."""
    context: int = 0
    """Tokens of the private context and of earlier turns that the decoder read as well."""
    spared: int | None = None
    """Signal tokens that ending the signal early spared, against the mean of the pair's
    calibration; None if the device did not end it."""
    alone: int | None = None
    """Mean tokens of the large model alone before joint training, reasoning and answer, as the pair's
    manifest reports them; None if it does not."""
    peer: int | None = None
    """Mean tokens of a large model that was trained to answer by itself, as the pair's manifest
    reports them; None if it does not."""


class Bytes(_Model):
    """Bytes of the messages on the link, as gRPC frames them (HTTP/2 and TLS excluded).

    Examples:
        >>> link = Bytes(up=196, down=72)
        >>> link.up + link.down
        268
    """

    up: int
    """Bytes from the device to the cloud."""
    down: int
    """Bytes from the cloud to the device."""


class Milliseconds(_Model):
    """Milliseconds since the command started; None for events that did not happen.

    Examples:
        >>> ms = Milliseconds(connect=9, first_signal=80.24, signal=210, first_answer=260, total=300)
        >>> ms.model_dump(mode="json")["first_signal"]
        80.2
    """

    connect: _Ms | None
    """The connection was ready."""
    first_signal: _Ms | None
    """The first chunk arrived."""
    signal: _Ms | None
    """The last chunk arrived."""
    first_answer: _Ms | None
    """The decoder generated the first answer token."""
    total: _Ms
    """The decoder generated the last answer token."""


class Flops(_Model):
    """Estimated floating-point operations of the large model: 2 x parameters x tokens generated.

    Source: the paper's section on efficiency. The estimate omits the small attention term.

    Examples:
        >>> flops = Flops(reasoner=16e9, reasoner_alone=64e9)
        >>> flops.reasoner / flops.reasoner_alone
        0.25
    """

    reasoner: _Operations
    """Operations for this question."""
    reasoner_alone: _Operations
    """Operations that the reasoner alone would need for reasoning and answer."""


class Route(_Model):
    """Who answered by the policy's decision before the question, and why.

    Examples:
        >>> route = Route(taken="device", measure="least", value=0.93, threshold=0.9)
        >>> route.taken, route.value
        ('device', 0.93)
    """

    taken: Taken
    """`cloud`: a signal was asked for; `device`: the device kept the question."""
    measure: str | None = None
    """Measure that decided; None if the user did."""
    value: _Rounded | None = None
    """Its value for this question."""
    threshold: _Rounded | None = None
    """Value from which the device keeps a question."""
    chance: _Rounded | None = None
    """Probability by the calibration that the device alone answers right; None if unknown."""
    unused_tokens: int = 0
    """Signal tokens that arrived while the device still judged, and were not needed."""


class Round(_Model):
    """One of several signals to a question, and its answer.

    Examples:
        >>> rounds = Round(tokens=12, answer="15"), Round(tokens=14, answer="16", kept=True)
        >>> [each.answer for each in rounds if each.kept]
        ['16']
    """

    tokens: int
    """Signal tokens that the cloud generated for it."""
    answer: str | None
    """The final answer as a person writes it; None without one."""
    measure: str | None = None
    """Measure by which answers that equally many rounds agree on are compared."""
    value: _Rounded | None = None
    """Its value; None if unknown."""
    kept: bool = False
    """Whether this answer was given."""


class Receipt(_Model):
    """The answer and what it cost.

    Examples:
        >>> from duet_device import Client
        >>> with Client("private-sums-135m", server="gpu.example.org:50151") as client:
        ...     receipt = client.ask("Gloria washes 3 cars every hour. How many in 3 hours?").receipt
        >>> receipt.answer, receipt.tokens.signal, receipt.source
        ('9', 5, 'duet')
        >>> Receipt.model_validate_json(receipt.model_dump_json()).answer
        '9'
    """

    answer: str
    """The answer's text."""
    signal: str
    """The signal's text; empty without a signal."""
    source: Source
    """Where the answer comes from."""
    pair: str
    """The pair as `id@version`."""
    request_id: str
    """Id of the request."""
    finish: str
    """`end` if the model ended its answer, `limit` if the answer reached its limit; followed by
    `+budget` if the signal was cut at its budget, by `+enough` if the device ended it, since it knew
    enough."""
    tokens: Tokens
    """Token counts."""
    bytes: Bytes
    """Bytes on the link."""
    ms: Milliseconds
    """Times since the start, in milliseconds."""
    flops: Flops
    """Estimated operations of the large model."""
    value: str | None = None
    """The final answer as a person writes it, such as "16" or "3/4"; None if the answer is empty,
    or nothing could be computed."""
    confidence: _Rounded | None = None
    """Probability of the decoder's least likely answer token; None if the pair has no threshold."""
    chance: _Rounded | None = None
    """Probability by the pair's calibration that the answer is right; None if unknown."""
    low_confidence: bool = False
    """Whether the pair's measure is below its threshold, the signal is `partial`, or there are
    `doubts`."""
    work: tuple[str, ...] = ()
    """The computed steps, with numbers: `3*8=24`."""
    doubts: tuple[str, ...] = ()
    """Why the answer may be wrong by the device's own checks, each a phrase."""
    numbers_sent: int | None = None
    """Numbers in what left the device for the question; None in receipts of older versions."""
    outcome: Outcome | None = None
    """What became of the signal: `complete`; after a cut, `continued` on the same server or `moved`
    to another; `partial` if the answer had to do with the start of it; `alone` if the device answered
    without it. None if no server was asked."""
    server: str | None = None
    """Server that the signal came from, the last one if it moved; None without a signal."""
    resumed: int = 0
    """How often the signal was continued after a cut."""
    rounds: tuple[Round, ...] = ()
    """The rounds of a question that may have several; empty for one that may not."""
    route: Route | None = None
    """Who was to answer, and why; None if the question was always for the cloud."""


def estimate_flops(manifest: Manifest, signal_tokens: int, answer_tokens: int) -> Flops:
    """Return the large-model FLOPs of a question, and of the reasoner answering it alone.

    Alone, the reasoner spends what its manifest's evaluation measured; without such a figure, at
    least the signal and the answer, so the estimate then errs towards no saving.

    Examples:
        >>> from duet_contract.manifest import load_manifest
        >>> from duet_contract.pairs import find_pair
        >>> manifest = load_manifest(find_pair("private-sums-135m"))
        >>> flops = estimate_flops(manifest, signal_tokens=16, answer_tokens=3)
        >>> flops.reasoner == 2 * manifest.reasoner.parameters * 16
        True
    """
    per_token = 2.0 * manifest.reasoner.parameters
    measured = manifest.reasoner_alone_tokens
    alone = signal_tokens + answer_tokens if measured is None else measured
    return Flops(
        reasoner=per_token * signal_tokens,
        reasoner_alone=per_token * max(alone, signal_tokens),
    )
