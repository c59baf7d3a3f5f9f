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
        "It answers short English word problems of the templates that it was trained on: people, "
        "things, money and ages, whole numbers up to 99, one to four steps of arithmetic. It "
        "cannot answer anything else: no other templates, longer chains, facts, fractions, larger "
        "numbers or conversation. Real questions are worded more freely than the templates",
        "writes long reasoning and an answer",
        (
            "The stages, on two processor cores: a tokenizer, SFT of both models on synthetic word "
            "problems (`training/duet_training/data/story_problems`), joint training with "
            "length-penalized GRPO (`training/duet_training/release/stories.py` has every setting), "
            "export. This page is generated from `figures.json`.",
            "SFT of these weights was interrupted several times and resumed with other shares of "
            "the solution styles (the reasoner after some 1,600 to 2,200 steps, the decoder after "
            "1,300). The command above therefore gives weights of the same kind, not the same "
            "weights. The time of a whole run was not measured; at the logged 1,500 tokens per "
            "second, SFT alone takes about 3.5 hours.",
        ),
        _stories,
    ),
    word_problems.NAME: Words(
        "It answers English word problems that a few equations solve, also freely worded real ones. "
        "It knows no facts and holds no conversation: any other question also gets a number, "
        "which is marked as low in confidence unless it comes from the question's own numbers. "
        "Joint training was short and changed little: most of what the split saves is the answer "
        "that its reasoner would write. Real questions are still hard for so small a model",
        "writes equations and an answer",
        (
            "SMOLLM2 is the directory of SmolLM2-135M-Instruct, such as the `reasoner/` of the "
            "pair `smollm2-135m`; `gsm8k_train.jsonl` is GSM8K's training set, whose calculator "
            "annotations are the equations. The reasoner's low-rank adapter is added to the public "
            "weights when the pair is built; the decoder is trained from scratch. Both are trained "
            "on GSM8K's problems and as many synthetic ones "
            "(`training/duet_training/data/story_problems`, scope `wide`): "
            f"{word_problems.REASONER_STEPS:,} steps of 1,024 tokens and "
            f"{word_problems.DECODER_STEPS:,} of 3,072, padding included. The decoder is also "
            "trained on mismatched signals with a random answer, so that its confidence in such "
            "answers is low (`training/duet_training/sft/mismatched.py`). Joint training with "
            f"length-penalized GRPO follows: {word_problems.JOINT_STEPS} steps on problems of both "
            "kinds (`training/duet_training/release/word_problems.py` has every setting). This page "
            "is generated from `figures.json`.",
            "On two processor cores with bfloat16, by the logs: SFT takes an hour and forty "
            "minutes, joint training half an hour. SFT of the reasoner was planned for 1,400 "
            "steps and then extended, after its learning rate had decayed. The command above "
            "therefore gives weights of the same kind, not the same weights.",
        ),
        _problems,
    ),
}
