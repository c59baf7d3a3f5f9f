"""Pairs with private quantities: what of a question leaves the device, and what does not."""

import random
import unicodedata
from collections.abc import Iterator

import pytest

from duet_contract.manifest import Manifest
from duet_device.privacy.found import Found
from duet_device.privacy.redaction import redact
from duet_device.question import Question, build_request
from duet_device.settings import Settings
from tests.unit.device.conftest import manifest_data

WORDS = ("Ann", "has", "[a]", "pens", "two-thirds", "dozen,", "kg", "%", "$", "x²", "no.", "A-")
SCRIPTS = ("0123456789", "٠١٢٣٤٥٦٧٨٩", "०१२३४५६७८९", "0123456789", "¹²³⁴⁵⁶⁷⁸⁹⁰", "①②③④⑤ⅣⅧ¼½¾")
GLUE = ("", " ", ".", ",", "/", ":", "-", "'", "th", "kg", "e", "%", " million", "\u00a0", "_")


@pytest.fixture
def private() -> Manifest:
    return Manifest.model_validate(
        manifest_data(schema=2, quantities="private", answers="computed")
    )


def questions(count: int) -> Iterator[str]:
    """Words and numbers in many notations, next to one another in any way."""
    rng = random.Random("questions")
    for _ in range(count):
        parts: list[str] = []
        for _ in range(rng.randint(1, 12)):
            if rng.random() < 0.5:
                parts.append(rng.choice(WORDS) + rng.choice((" ", " ", "")))
            else:
                script = rng.choice(SCRIPTS)
                parts += "".join(rng.choices(script, k=rng.randint(1, 6))), rng.choice(GLUE)
        yield "".join(parts)


def numeric(text: str) -> list[str]:
    return [char for char in text if unicodedata.category(char)[0] == "N"]


def test_no_digit_of_ten_thousand_questions_leaves_the_device(private: Manifest) -> None:
    nothing_asked = build_request("", private, Settings())
    nothing_asked.request_id = ""
    digits = 0
    for text in questions(10_000):
        request = build_request(Question(text).for_pair(private).sent, private, Settings())
        digits += len(numeric(text))
        assert not numeric(request.question), text
        # The rest of the request is the same for every question, but for its random name.
        request.request_id = request.question = ""
        assert request == nothing_asked
    assert digits > 10_000


def test_questions_that_differ_in_their_numbers_alone_are_sent_alike(private: Manifest) -> None:
    sent = {
        Question(f"Ann has {number} pens and sells {other}.").for_pair(private).sent
        for number in ("3", "1,000.5", "½", "twelve", "٣")
        for other in ("3", "2.75", "3/4")
    }
    assert sent == {"Ann has [a] pens and sells [b]."}


def test_other_pairs_read_the_numbers() -> None:
    manifest = Manifest.model_validate(manifest_data())
    question = Question("Ann has 3 pens.").for_pair(manifest)
    assert (question.masked, question.sent) == (None, "Ann has 3 pens.")


def test_names_and_numbers_are_replaced_together(private: Manifest) -> None:
    def find_ann(text: str) -> list[Found]:
        start = text.find("Ann")
        return [Found(start, start + 3, "NAME", "ann")]

    text = "Ann has 11 pens and [NAME_1] 2."
    question = Question(text, redaction=redact(text, [find_ann])).for_pair(private)
    assert question.sent == "[NAME_2] has [a] pens and [NAME_[b]] [c]."
    assert [quantity.source for quantity in question.masked.quantities] == ["11", "1", "2"]
