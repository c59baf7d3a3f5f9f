"""Pairs with private quantities: questions and signals that no one expects."""

import time
import tracemalloc
from pathlib import Path

import pytest

from duet_contract.manifest import Manifest
from duet_contract.quantities import OUT_OF_REACH, mask
from duet_device.pairs.pair import Pair
from tests.doubles.asking import ask
from tests.doubles.cloud import Script, done, says, tokens
from tests.doubles.decoder import ScriptedDecoder, answering
from tests.doubles.manifests import PRIVATE_PAIR
from tests.unit.device.conftest import manifest_data

MOST_S = 5.0
MOST_BYTES = 64 << 20


@pytest.fixture
def computing(tmp_path: Path) -> Pair:
    data = manifest_data(**PRIVATE_PAIR)
    data["limits"] = {"question": 1000, "budget": 1000, "answer": 64}
    for part in ("reasoner", "decoder"):
        data[part] = data[part] | {"context": 4000}
    return Pair(tmp_path, Manifest.model_validate(data))


def formula(text: str) -> Script:
    return says(tokens(*text.encode()), done(len(text)))


@pytest.mark.parametrize(
    ("question", "signal", "answer", "value"),
    [
        ("How many pens are there?", "?", OUT_OF_REACH, None),
        ("How many pens are there?", "a", "No answer: the formula uses a, ", None),
        (" ".join(f"{n} pens," for n in range(2, 42)), "a+at", "The answer is 43.", "43"),
        ("Is [a] or [c] worth 7 or 8?", "b+d", "The answer is 15.", "15"),
        ("3kg and a 10-year-old and 1/2 of x²?", "a*b*x+c", "The answer is 17.", "17"),
        ("1,5 and 1,500?", "a*b", "The answer is 2250.", "2250"),
        ("٣ pens, ५ pens, ７ pens, 三 pens?", "a+b+c+d", "The answer is 18.", "18"),
        (
            "三十五 pens?",
            "a",
            "No answer: the formula computes with label a, which is a word.",
            None,
        ),
        (
            "🕒 or 🔟?",
            "a+b",
            "No answer: the formula computes with label a, which is a code.",
            None,
        ),
    ],
)
def test_odd_questions_have_defined_answers(
    computing: Pair, question: str, signal: str, answer: str, value: str | None
) -> None:
    result, cloud = ask(
        formula(signal), computing, ScriptedDecoder(answering("", " A:")), question=question
    )
    assert cloud.requests[0].question == mask(question).text
    assert result.answer.startswith(answer)
    assert (result.receipt.value, result.receipt.numbers_sent) == (value, 0)
    assert value or result.receipt.low_confidence


@pytest.mark.parametrize(
    "signal",
    [
        "a/0",
        "a/(b-b)",
        "zz*a",
        "9**9**9",
        "10^100000",
        "9" * 400,
        "*".join(["999999999999"] * 30),
        "a*a=A;" + "".join(f"{x}*{x}={y};" for x, y in zip("ABCDEFGH", "BCDEFGHI", strict=True)),
        "a+" * 400 + "a",
        "-" * 499 + "a",
        "(" * 400 + "a" + ")" * 400,
        "abs(" * 100 + "a" + ")" * 100,
        "max(" + "a," * 200 + "a",
        "a%%%%%%",
        ";" * 900,
        "=" * 900,
        "{=}" * 100,
        "[a]" * 100,
        "__import__('os').system('true')",
        "\x1b[2J\x07",
    ],
)
def test_hostile_signals_end_in_a_marked_answer(computing: Pair, signal: str) -> None:
    decoder = ScriptedDecoder(answering("It is {=}.", " A:"))
    tracemalloc.start()
    began = time.process_time()
    try:
        result, _ = ask(
            formula(signal), computing, decoder, question="3 pens and 4 pens?", budget=1000
        )
        used = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.answer.startswith("No answer: the formula ")
    assert result.receipt.source == "duet"
    assert "\n" not in result.answer
    assert result.receipt.value is None
    assert result.receipt.low_confidence
    assert time.process_time() - began < MOST_S
    assert used < MOST_BYTES


def test_the_longest_formula_is_computed(computing: Pair) -> None:
    result, _ = ask(
        formula("a+" * 249 + "b"), computing, ScriptedDecoder(answering("", " A:")),
        question="3 pens and 4 pens?", budget=1000,
    )  # fmt: skip
    assert result.receipt.value == str(249 * 3 + 4)
