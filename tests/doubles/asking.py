"""One question to a scripted cloud, answered by a decoder without a model."""

from duet_device.answering import Listener, Outcome, answer
from duet_device.pairs.pair import Pair
from duet_device.question import Question
from duet_device.settings import Settings
from tests.doubles.cloud import Script, ScriptedCloud
from tests.doubles.decoder import ScriptedDecoder

QUESTION = "why?"


def ask(
    script: Script,
    pair: Pair,
    decoder: ScriptedDecoder,
    listener: Listener | None = None,
    *,
    question: str | Question = QUESTION,
    **settings: object,
) -> tuple[Outcome, ScriptedCloud]:
    """The outcome, and the cloud with what it was asked."""
    with ScriptedCloud(script) as cloud:
        outcome = answer(
            question,
            pair,
            Settings(server=cloud.address, **settings),  # type: ignore[arg-type]
            listener,
            decoder=decoder,  # type: ignore[arg-type]
        )
    return outcome, cloud
