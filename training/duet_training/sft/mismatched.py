"""Questions with mismatched signals, which lower a decoder's confidence.

Their answer is drawn at random. It is unpredictable, so none of its digits becomes likely, and
devices mark such an answer as low in confidence.
"""

import random
import re

_SENTENCES = re.compile(r"(?<=[.?!])\s+")
_DIGIT = re.compile(r"\d")
# Shares of these examples: with another question's equations, and with the question's equations but
# without its numbers. The rest are out-of-domain questions.
OTHERS, NUMBERLESS = 0.4, 0.3


def strange(question: str, equations: str, others: str, rng: random.Random) -> tuple[str, str]:
    """Pair a question with equations that do not answer it; `others`: another question's."""
    dice = rng.random()
    if dice < OTHERS:
        return question, others
    if dice < OTHERS + NUMBERLESS:
        return _without_numbers(question), equations
    words = _without_numbers(question).rstrip(".?!").split()
    rng.shuffle(words)
    asked = " ".join(words[: rng.randint(2, 14)])
    return asked[:1].upper() + asked[1:] + rng.choice("?..."), _idle(rng)


def _without_numbers(question: str) -> str:
    """Keep the sentences without numbers; if all contain numbers, keep the words without."""
    sentences = _SENTENCES.split(question)
    kept = [sentence for sentence in sentences if not _DIGIT.search(sentence)]
    return " ".join(kept or (word for word in question.split() if not _DIGIT.search(word))) or "?"


def _idle(rng: random.Random) -> str:
    """Make up equations, as a reasoner does for a question without a computation."""
    size = rng.choice((4, 20, 100, 2000))
    written = []
    for _ in range(rng.randint(1, 3)):
        left, right, sign = rng.randint(1, size), rng.randint(1, size), rng.choice("+-*/")
        results = {"+": left + right, "-": left - right, "*": left * right, "/": left // right}
        wrong = rng.randint(1, size)
        written.append(f"{left}{sign}{right}={rng.choice((results[sign], wrong))}.")
    return " ".join(written)
