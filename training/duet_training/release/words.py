"""Texts of each pair's README about its scope and its training."""

from collections.abc import Callable
from dataclasses import dataclass

from duet_training.release import stories, word_problems


@dataclass(frozen=True)
class Asked:
    """Inputs of the measurement in serving."""

    real: tuple[str, ...]
    """Names of the files of real questions."""
    peer: str | None
    """Another pair to compare with; None without a comparison."""
    served: bool
    """Whether an interpreter with vLLM was available."""


@dataclass(frozen=True)
class Words:
    """The texts of one pair."""

    reach: str
    """Questions that the pair answers; a figure of real questions follows."""
    before: str
    """Description of the reasoner's output before joint training."""
    how: tuple[str, ...]
    """How the pair was trained."""
    commands: Callable[[str, Asked], list[str]]
    """Function from the pair's name and the measured inputs to its build commands."""


def words_of(pair: str) -> Words:
    """Return a released pair's texts; any other pair uses those of `stories.NAME`."""
    return _WORDS.get(pair, _WORDS[stories.NAME])


def _wrapped(parts: list[str]) -> str:
    return " \\\n        ".join(parts)


def _stories(pair: str, asked: Asked) -> list[str]:
    return [
        _wrapped(
            [
                f"duet-train release build OUT --into cloud/pairs/duet_pairs/{pair}",
                *_asked(asked),
            ]
        )
    ]


def _asked(asked: Asked) -> list[str]:
    parts = []
    if asked.real:
        parts.append(" ".join(f"--real {name}.jsonl" for name in asked.real))
    if asked.peer:
        parts.append(f"--peer {asked.peer}")
    if asked.served:
        parts.append("--serving-python .venv/bin/python")
    return parts


def _problems(pair: str, asked: Asked) -> list[str]:
    made = f"duet-train release build OUT --pair {pair} --base SMOLLM2"
    parts = [made, "--worked gsm8k_train.jsonl", f"--into cloud/pairs/duet_pairs/{pair}"]
    return [_wrapped([*parts, *_asked(asked)])]


_WORDS = {
    stories.NAME: Words(
        "It answers short word problems in English about people, things, money and ages, of the "
        "plots that it was trained on: whole numbers up to 99, one to four steps of adding, taking "
        "away, multiplying and dividing. It knows nothing else: no other plots, no longer chains, "
        "no facts, no fractions, no larger numbers, no conversation. Real questions are worded "
        "more freely than the stories it was trained on",
        "reasons at length and answers",
        (
            "On two processor cores: a tokenizer, supervised training of both models on generated "
            "stories (`training/duet_training/data/story_problems`), joint training with length-penalised GRPO "
            "(`training/duet_training/release/stories.py` has every setting), export. `figures.json` holds what "
            "was measured; this page is written from it.",
            "These weights were made by those stages, but not in one go: supervised training was "
            "stopped and taken up again several times, with other shares of the styles of worked "
            "solutions (the reasoner after some 1,600 to 2,200 steps, the decoder after 1,300). So "
            "the command above, run from nothing, gives weights of the same kind, not the same "
            "weights. The time of a run from nothing was never measured; by the logged speed, some "
            "1,500 tokens a second, supervised training alone takes about 3.5 hours.",
        ),
        _stories,
    ),
    word_problems.NAME: Words(
        "It answers word problems in English that a few equations solve, real ones, too, worded "
        "freely. It knows no facts, and holds no conversation: asked anything else, it answers "
        "with a number all the same, and marks that as doubtful unless it is made of the "
        "question's own numbers. So short a joint training has changed little: most of what the "
        "split saves is the answer that its reasoner would write. Real questions are still hard "
        "for so small a model",
        "writes equations and answers",
        (
            "SMOLLM2 is the directory of SmolLM2-135M-Instruct, such as the `reasoner/` of the "
            "pair `smollm2-135m`; `gsm8k_train.jsonl` is GSM8K's training set, whose calculator "
            "annotations are the equations. The reasoner learnt a low-rank adapter, which is added "
            "to the public weights when the pair is built; the decoder was made from scratch. Both "
            "saw GSM8K's problems and as many generated stories (`training/duet_training/data/story_problems`, scope "
            f"`wide`): {word_problems.REASONER_STEPS:,} steps of 1,024 tokens and "
            f"{word_problems.DECODER_STEPS:,} of 3,072, padding included; the decoder saw signals "
            "that are not the question's, too, with an answer drawn at random, so that it doubts "
            "what it makes of such (`training/duet_training/sft/mismatched.py`). Joint training with "
            f"length-penalised GRPO went on from there, {word_problems.JOINT_STEPS} steps on "
            "problems of both kinds (`training/duet_training/release/word_problems.py` has every setting). "
            "`figures.json` holds what was measured; this page is written from it.",
            "On two processor cores with bfloat16, by the logs: an hour and forty minutes of "
            "supervised training, half an hour of joint training. The reasoner was not made in one "
            "go: its supervised training was planned for 1,400 steps first, at the end of which "
            "the learning rate had fallen, and then gone on with. So the command above, run from "
            "nothing, gives weights of the same kind, not the same weights.",
        ),
        _problems,
    ),
}
