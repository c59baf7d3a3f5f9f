"""What the page beside each pair says of its reach, and how it was made."""

from collections.abc import Callable
from dataclasses import dataclass

from training.shipped.plan import NAME


@dataclass(frozen=True)
class Asked:
    """What was asked as it is served: files' names, another pair, whether an engine was there."""

    real: tuple[str, ...]
    peer: str | None
    served: bool


@dataclass(frozen=True)
class Words:
    """One pair's.

    `reach`: what it answers; a figure of real questions follows. `commands`: those that made it,
    by its name and what was asked. `has_targets`: whether it was the one to reach them.
    """

    reach: str
    how: tuple[str, ...]
    commands: Callable[[str, Asked], list[str]]
    has_targets: bool


def words_of(pair: str) -> Words:
    """Those of a pair that ships; of any other, those of the one that `training.shipped` makes."""
    return _WORDS.get(pair, _WORDS[NAME])


def _wrapped(parts: list[str]) -> str:
    return " \\\n        ".join(parts)


def _stories(pair: str, asked: Asked) -> list[str]:
    parts = [f"python -m training.shipped OUT --into cloud/pairs/{pair}"]
    if asked.real:
        parts.append(f"--real {' '.join(f'{name}.jsonl' for name in asked.real)}")
    if asked.peer:
        parts.append(f"--peer {asked.peer}")
    if asked.served:
        parts.append("--serving-python .venv/bin/python")
    return [_wrapped(parts)]


def _problems(pair: str, asked: Asked) -> list[str]:
    lines = [
        _wrapped(
            [
                "python -m training.supervised.adapted OUT --base SMOLLM2 --into cloud/pairs/"
                + pair,
                "--worked gsm8k_train.jsonl",
            ]
        ),
        _wrapped([f"python -m cloud.pairs build {pair} --out OUT/pair"]),
    ]
    sets = [f"--set {name}={name}.jsonl" for name in asked.real]
    peer = [f"--peer {asked.peer}"] if asked.peer else []
    last = f"--serving-python .venv/bin/python --into cloud/pairs/{pair}"
    return [*lines, _wrapped(["python -m training.shipped.served OUT", *sets, *peer, last])]


_WORDS = {
    NAME: Words(
        "It answers short word problems in English about people, things, money and ages, of the "
        "plots that it was trained on: whole numbers up to 99, one to four steps of adding, taking "
        "away, multiplying and dividing. It knows nothing else: no other plots, no longer chains, "
        "no facts, no fractions, no larger numbers, no conversation. Real questions are worded "
        "more freely than the stories it was trained on",
        (
            "On two processor cores: a tokenizer, supervised training of both models on generated "
            "stories (`training/stories`), joint training with length-penalised GRPO "
            "(`training/shipped/plan.py` has every setting), export. `figures.json` holds what was "
            "measured; this page is written from it.",
            "These weights were made by those stages, but not in one go: supervised training was "
            "stopped and taken up again several times, with other shares of the styles of worked "
            "solutions (the reasoner after some 1,600 to 2,200 steps, the decoder after 1,300). So "
            "the command above, run from nothing, gives weights of the same kind, not the same "
            "weights. The time of a run from nothing was never measured; by the logged speed, some "
            "1,500 tokens a second, supervised training alone takes about 3.5 hours.",
        ),
        _stories,
        True,
    ),
    "word-problems-135m": Words(
        "It answers word problems in English that a few equations solve. **It was not trained for "
        "the split**: its reasoner was shown equations and writes nothing else, so no joint "
        "training has made its signals shorter, and by itself it writes only the boxed answer "
        "more. It is here for questions that the pair which was trained for the split cannot "
        "read: real ones, worded freely. It knows no facts, and holds no conversation. Real "
        "questions are still hard for so small a model",
        (
            "SMOLLM2 is the directory of SmolLM2-135M-Instruct, such as the `reasoner/` of the "
            "pair `smollm2-135m`; `gsm8k_train.jsonl` is GSM8K's training set, whose calculator "
            "annotations are the equations. The reasoner learnt a low-rank adapter, which is added "
            "to the public weights when the pair is built; the decoder was made from scratch. Both "
            "saw GSM8K's problems and as many generated stories (`training/stories`, scope "
            "`wide`): 1,400 steps of 1,024 tokens and 1,500 of 3,072, padding included. On two "
            "processor cores with bfloat16 that is about an hour by the logged speed, some 350 and "
            "7,700 tokens a second; the reasoner's training was stopped and taken up again twice. "
            "`figures.json` holds what was measured; this page is written from it.",
        ),
        _problems,
        False,
    ),
}
