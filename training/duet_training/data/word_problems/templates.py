r"""Reads templates of word problems: text with choices and slots, and a formula.

A template is one line of a file in `templates/`:

    <A> [had|has] {a} <t>. <He> [gave|sold] {b} of them. How many <t> are left? => a-b
        :: <A> has {=} <t> left.

- `[one|other]` is a choice, which may be empty and may hold others.
- `<A>` is a name, `<t>` a thing (`duet_training.data.word_problems.slots`). A slot keeps its value.
- `{a}` is a number; `{p:money}` says what sort, `{n=five}` which. A number that the text has and the
  formula uses is written so: the reasoner sees its label only.
- `(One. ~ Other.)` are sentences that may come in any order.
- After `=>` is the formula, after `::` the answer as a sentence.
- A line that begins with `!` is held out: no question of it is trained on.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePath

from duet_training.errors import DataError

_CONTINUED = re.compile(r"\n[ \t]+")


@dataclass(frozen=True)
class Template:
    """One line of a file."""

    family: str
    """The file's name."""
    number: int
    """Number of the line in its file."""
    text: str
    """Text of the question, with slots."""
    formula: str
    """Formula over the slots."""
    sentence: str
    """The answer as a sentence around a formula in braces."""
    held_out: bool
    """Whether the template is used for tests alone."""

    @property
    def id(self) -> str:
        """Names it in problems."""
        return f"{self.family}/{self.number}"


@cache
def read_templates() -> tuple[Template, ...]:
    """All templates of this package.

    Raises:
        DataError: a line without a formula or a sentence.
    """
    folder = files("duet_training.data.word_problems") / "templates"
    found = [
        template
        for file in sorted(folder.iterdir(), key=lambda each: each.name)
        for template in parse_templates(PurePath(file.name).stem, file.read_text("utf-8"))
    ]
    return tuple(found)


def parse_templates(family: str, text: str) -> Iterator[Template]:
    """Templates of a file's text; lines that begin with white space continue the one before.

    Raises:
        DataError: a line without a formula or a sentence.
    """
    lines = [line for line in _CONTINUED.sub(" ", text).split("\n") if line.strip()]
    for number, line in enumerate((line for line in lines if line[0] != "#"), start=1):
        body, arrow, rest = line.partition("=>")
        formula, colons, sentence = rest.partition("::")
        if not arrow or not colons:
            raise DataError(f"template {family}/{number} lacks '=>' or '::': {line[:60]}")
        held_out = body.startswith("!")
        yield Template(
            family, number, body.lstrip("! ").strip(), formula.strip(), sentence.strip(), held_out
        )
