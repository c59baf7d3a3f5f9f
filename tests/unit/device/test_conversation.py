"""Conversations: what the decoder evaluates again, what is sent, and what fits the window."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_contract.manifest import Manifest, TemplatePart
from duet_device import Client, Result, UsageProblem
from duet_device.conversation import Conversation
from duet_device.decoder import earlier_turns
from duet_device.decoder.earlier_turns import earlier_ids, later_format
from duet_device.decoder.prompts import build_prompts
from duet_device.pairs.pair import Pair
from duet_device.privacy.names import find_names
from duet_device.question import Question
from duet_device.turns import Past, Turn
from tests.doubles.cloud import ScriptedCloud, done, says, tokens
from tests.doubles.decoder import END, ScriptedDecoder, answering
from tests.doubles.manifests import PRIVATE_PAIR
from tests.unit.device.conftest import manifest_data

BECAUSE = says(tokens(*b"be"), tokens(*b"cause"), done(7))


class KeepingDecoder(ScriptedDecoder):
    """Evaluates what differs alone, as the real one does."""

    def become(self, ids: Any, check: Any = None) -> None:
        same = 0
        for mine, wanted in zip(self.ids, ids[:-1], strict=False):
            if mine != wanted:
                break
            same += 1
        del self.ids[same:]
        self.evaluate(ids[same:], check=check)


def manifest(**changes: Any) -> Manifest:
    return Manifest.model_validate(manifest_data(**changes))


def with_decoder(**changes: Any) -> Manifest:
    data = manifest_data()
    return manifest(decoder={**data["decoder"], **changes})


def test_a_later_turn_evaluates_its_own_tokens_alone(pair: Pair) -> None:
    decoder = KeepingDecoder(answering("yes", " A:"))
    with (
        ScriptedCloud(BECAUSE) as cloud,
        Client(pair, decoder=decoder, server=cloud.address) as client,  # type: ignore[arg-type]
    ):
        talk = Conversation(pair.manifest)
        for number in range(12):
            decoder.evaluations.clear()
            question = talk.ask(f"q{number:02}?")
            result = client.ask(question)
            talk.add(question, result)
            # The new prompt up to the signal; the end of the answer before, if that was not guessed.
            assert decoder.evaluations[0][1] in (9, 10)
        assert result.receipt.tokens.context == 22 + 10 * 23
        sequence = bytes(token if token < END else ord("|") for token in decoder.ids)
        assert sequence.startswith(b"Q:q00? S:because A:yes|Q:q01? S:because A:yes|Q:q02?")
        # Nothing of the earlier turns was sent.
        assert [request.question for request in cloud.requests] == [
            f"q{number:02}?" for number in range(12)
        ]


def test_a_shared_history_is_sent_and_not_read_twice(pair: Pair, decoder: ScriptedDecoder) -> None:
    with (
        ScriptedCloud(BECAUSE) as cloud,
        Client(pair, decoder=decoder, server=cloud.address) as client,  # type: ignore[arg-type]
    ):
        talk = Conversation(pair.manifest, share=1)
        for text in ("a?", "b?", "c?"):
            question = talk.ask(text)
            result = client.ask(question)
            talk.add(question, result)
    assert cloud.requests[2].question == "Question: b?\nAnswer: häppy 🙂\n\nQuestion: c?"
    assert bytes(token for token in decoder.ids if token < END).count(b"b?") == 1
    assert result.receipt.tokens.question == len(cloud.requests[2].question.encode())


@given(st.integers(0, 7), st.integers(0, 9) | st.just(10**30))
def test_as_many_turns_are_shared_as_there_are(count: int, share: int) -> None:
    past = [Past(f"q{number}", f"a{number}") for number in range(count)]
    sent = Conversation(manifest(), share=share, past=past).ask("why?").sent
    shared = [number for number in range(count) if f"Question: q{number}\n" in sent]
    assert shared == list(range(max(0, count - share), count))


def test_one_person_has_one_placeholder_in_all_turns() -> None:
    talk = Conversation(manifest(), share=5, finders=[find_names])
    first = talk.ask("Where does Dr. Anna Berg live?")
    assert first.sent == "Where does Dr. [NAME_1] live?"
    talk.past.append(Past("Where does Dr. Anna Berg live?", "Anna Berg lives in Ulm."))
    second = talk.ask("Does my friend Otto Kant know Anna?")
    assert second.asked == "Does my friend [NAME_2] know [NAME_1]?"
    assert second.sent == (
        "Question: Where does Dr. [NAME_1] live?\nAnswer: [NAME_1] lives in Ulm.\n\n"
        "Question: Does my friend [NAME_2] know [NAME_1]?"
    )
    assert second.redaction
    assert second.redaction.restore("[NAME_2] [NAME_1]") == "Otto Kant Anna Berg"
    assert second.earlier == (
        Turn("Where does Dr. [NAME_1] live?", None, "[NAME_1] lives in Ulm."),
    )


@given(st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=6))
def test_any_text_is_redacted_turn_by_turn(texts: list[str]) -> None:
    past = [Past(text, text) for text in texts]
    talk = Conversation(manifest(), share=9, finders=[lambda text: []], past=past)
    question = talk.ask("why?")
    assert question.asked == "why?"
    assert question.earlier
    assert [turn.question for turn in question.earlier] == [
        text.replace("\u241e", " ") for text in texts
    ]


def test_a_pair_of_private_numbers_reads_only_what_is_shared() -> None:
    private = manifest(**PRIVATE_PAIR)
    talk = Conversation(private, past=[Past("3 cars?", "3")])
    assert talk.ask("4 more?").for_pair(private).sent == talk.ask("4 more?").for_pair(private).asked
    assert talk.ask("4 more?").earlier is None
    talk.share = 1
    question = talk.ask("4 more?").for_pair(private)
    assert question.sent == question.asked
    assert "cars" in question.sent
    assert not any(digit in question.sent for digit in "34")


CHATML = [
    {"template": "<s>system\nHelp.<e>\n<s>user\n"},
    {"slot": "question"},
    {"template": " Think.<e>\n<s>assistant\n"},
    {"slot": "signal"},
]


@pytest.mark.parametrize(
    ("prompt", "opening"),
    [
        (CHATML, "<e>\n<s>user\n"),
        ([{"template": "<s>user\n"}, *CHATML[1:]], "<e>\n<s>user\n"),
        ([{"template": "<u>"}, CHATML[1], {"template": "<e><a>"}, CHATML[3]], "<e><u>"),
        ([*CHATML[1:]], "<e>\n"),
    ],
)
def test_how_a_later_turn_begins(prompt: list[dict[str, str]], opening: str) -> None:
    decoder = with_decoder(
        prompt_with_signal=prompt, prompt_alone=prompt[:-1], end_of_answer=["<e>"]
    ).decoder
    first, *rest = later_format(decoder, decoder.prompt_with_signal)
    assert first == TemplatePart(template=opening)
    assert rest == list(decoder.prompt_with_signal)[-len(rest) :]


@given(st.lists(st.integers(1, 40), max_size=30), st.integers(0, 300))
def test_turns_fit_the_room_and_go_several_at_once(lengths: list[int], room: int) -> None:
    decoder = ScriptedDecoder(lambda ids: END)
    turns = [Turn("q" * length, (), "a") for length in lengths]
    ids = earlier_ids(decoder, manifest(), turns, room)
    assert len(ids) <= room
    if sum(len(earlier_ids(decoder, manifest(), [turn], 10_000)) + 1 for turn in turns) <= room:
        assert ids.count(ord("a")) == len(turns)
    starts = {earlier_turns._first_kept([10] * count, 400) for count in range(200)}
    assert len(starts) <= 200 * 10 / (400 / earlier_turns._STEPS) + 2


def test_turns_beyond_the_window_are_left_out(pair: Pair) -> None:
    small = with_decoder(context=160)
    decoder = ScriptedDecoder(lambda ids: END)
    turns = tuple(Turn("q" * 20, (), "a" * 20) for _ in range(5))
    prompts = build_prompts(decoder, small, Question("why?", earlier=turns), 16)
    assert len(prompts.prefix) + 16 + len(prompts.suffix) + small.defaults.answer <= 160
    assert prompts.prefix[:2] == list(b"Q:")
    assert len(prompts.alone()) + small.defaults.answer <= 160
    # None at all: as a first turn.
    prompts = build_prompts(decoder, small, Question("y" * 60, earlier=turns), 16)
    assert bytes(prompts.prefix).startswith(b"Q:yyy")


def test_earlier_turns_that_cannot_be_read_are_named() -> None:
    vocabulary = {**manifest_data()["decoder"]["vocabulary"], "missing_bytes": [ord("x")]}
    lacking = with_decoder(vocabulary=vocabulary)
    with pytest.raises(UsageProblem, match="earlier turns"):
        build_prompts(
            ScriptedDecoder(lambda ids: END),
            lacking,
            Question("why?", earlier=(Turn("x", None, "a"),)),
            16,
        )


def test_a_result_holds_the_tokens_of_the_answer(pair: Pair, decoder: ScriptedDecoder) -> None:
    with Client(pair, decoder=decoder, device_only=True) as client:  # type: ignore[arg-type]
        result = client.ask("why?")
    assert isinstance(result, Result)
    assert bytes(result.answer_ids).decode() == result.answer
