"""Features of an answer: the numbers that a calibration's judge weighs.

All of them are at hand when the answer is: none costs a decoding step of its own.
"""

from collections.abc import Sequence

from duet_contract.quantities import ComputedAnswer
from duet_device.decoder.odds import Odds
from duet_device.policy.check import Check
from duet_device.policy.measures import Evidence, checks, margin, mean_log_probability
from duet_device.question import Question
from duet_device.signal_stream import Signal


def features_of(
    question: Question,
    signal: Signal | None,
    trace: Sequence[Odds],
    checked: Sequence[Check],
    computed: ComputedAnswer | None,
) -> dict[str, float]:
    """Return every feature that is known, by its name in a calibration.

    Args:
        question: as the decoder read it.
        signal: what the answer follows; None if the device answered alone.
        trace: odds of the answer's tokens; empty if they were not computed.
        checked: what the device's own checks say.
        computed: the answer as a result with its work; None if the decoder's text is the answer.
    """
    evidence = Evidence(tuple(trace), checks=tuple(each.holds for each in checked))
    found: dict[str, float | None] = {
        "question_words": float(len(question.asked.split())),
        "decoder_mean": mean_log_probability(evidence),
        "decoder_margin": margin(evidence),
        "checks": checks(evidence),
    }
    if signal:
        found |= _of_signal(signal)
    if computed and computed.checks:
        found |= computed.checks.features()
        found["steps"] = float(len(computed.work))
        found["quantities"] = float(len(question.masked.quantities)) if question.masked else None
    return {name: value for name, value in found.items() if value is not None}


def _of_signal(signal: Signal) -> dict[str, float | None]:
    found: dict[str, float | None] = {"signal_tokens": float(signal.tokens)}
    end = signal.done
    # Of a signal that was continued, the last message knows the end alone.
    if end and not end.prefix_tokens and end.HasField("mean_log_probability"):
        found["reasoner_least"] = end.least_log_probability
        found["reasoner_mean"] = end.mean_log_probability
        found["reasoner_sum"] = end.mean_log_probability * (end.signal_tokens + 1)
    return found
