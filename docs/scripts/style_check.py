"""Checks the words of code and documents against the rules of `docs/style.md`.

    python docs/scripts/style_check.py              check: no folder is above its ceiling
    python docs/scripts/style_check.py --list cloud list every phrase in a folder or file
    python docs/scripts/style_check.py --lower      record lower counts as the new ceilings

It reads strings, docstrings and comments of Python, Markdown without code blocks, and comments of
other files that git tracks. `style_ceilings.json` holds the number of phrases that each top-level
folder may contain. A ceiling is only ever lowered.
"""

import argparse
import ast
import io
import json
import re
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CEILINGS = ROOT / "docs/style_ceilings.json"

# Phrase, as a regular expression for any case, and what to write instead.
RULES = {
    r"nobody|somebody|anybody": "no one, anyone, or the actor: a user, a caller",
    r"anew": "again",
    r"beside": "next to; besides (in addition)",
    r"(is|are|was|were) (?-i:none)": "there is no X; X is missing",
    r"(?<!there\s)(is|are) no(?! longer| more)": "is not a X; there is no X",
    r"(be|is|are|was|were|been) had": "is available; cannot be read",
    r"(is|are|was|were|be|been) told": "is reported; receives; the log says",
    r"told apart": "distinguished",
    r"(go|goes|went|gone|going) on": "continue",
    r"(give|gives|gave|given|giving) up": "abort; stop",
    r"(lie|lies|lay|lying) (in|on|beside|behind|here|there|next|elsewhere|below|at)": "is in; is next to",
    r"(stand|stands|stood)(?! for)": "is",
    r"enrol|enrols|enrolment|enrolments": "enroll, enrollment",
    r"learnt": "learned; updated",
    r"(?<!all-)gather(s|ed)?": "buffer; collect; all-gather (of shards)",
    r"expel|expels|expelled": "terminate",
    r"seal|seals|sealed|sealing": "encrypt, encrypted",
    r"(the|this|each|every|another|other|which) (room|rooms|house)": "package; repository",
    r"price of length|priced|unpriced": "length penalty (lambda)",
    r"untold": "held-out",
    r"supervised (pair|training)|lessons?": "sft; data mixture",
    r"ships|shipped(?!`)": "is part of the release; released",
    r"pieces?(?! of)": "chunk; part",
    r"drafting|anticipat(e|es|ed|ing|ion)": "speculative decoding; look-ahead",
    r"an own": "a X of its own; your own X",
    r"keeper": "history writer",
    r"reception": "signal stream reader",
    r"gate (lets|refuses|opens)": "auth interceptor",
    r"of one's own|one's own": "your own",
    r"once more": "again",
    r"(is|are|was|were) there already": "exists already",
    r"(is|are|was|were) to be": "must be; will be",
}
_RULES = [
    # White space between two words may be a line's end.
    (re.compile(rf"\b(?:{phrase})(?!\w)".replace(" ", r"\s+"), re.IGNORECASE), instead)
    for phrase, instead in RULES.items()
]

# Word problems that models learn from and are asked, and the page that lists the phrases.
_DATA = re.compile(
    r"docs/style\.md|docs/scripts/style_check\.py|tests/unit/docs/test_style_check\.py|LICENSE.*"
    r"|training/experiments/.*"
    r"|training/duet_training/data/(story|word)_problems/"
    r"(templates/.*|words|(\w+_)?families|held_out)(\.py|\.yaml)?"
    r"|.*_pb2(_grpc)?\.pyi?"
)
# Statements of SQL name the columns of files that exist.
_SQL = re.compile(r"\s*(SELECT|INSERT|UPDATE|CREATE) ")
_COMMENTED = {".toml", ".yaml", ".yml", ".sh", ".cfg", ".proto"}
_LINE_COMMENT = re.compile(r"(?:^|\s)(?:#|//)\s?(.*)$")
_FENCE = re.compile(r"^\s*(```|~~~)")


@dataclass(frozen=True)
class Finding:
    """A phrase at a line of a file."""

    path: str
    """Path from the root of the repository."""
    line: int
    """Number of the line, from 1."""
    phrase: str
    """The phrase, as it is written there."""
    instead: str
    """What to write instead."""


def findings(path: str, text: str) -> list[Finding]:
    """The phrases in the prose of a file, in the order of its lines."""
    found = set()
    for start, prose in _prose(path, text):
        for pattern, instead in _RULES:
            for match in pattern.finditer(prose):
                line = start + prose.count("\n", 0, match.start())
                phrase = " ".join(match.group().split())
                found.add(Finding(path, line, phrase, instead))
    return sorted(found, key=lambda each: (each.line, each.phrase))


def _prose(path: str, text: str) -> Iterator[tuple[int, str]]:
    """What a reader reads: parts of the file, each with its first line."""
    suffix = Path(path).suffix
    if suffix == ".py":
        yield from _strings(text)
        yield from _paragraphs(_python_comments(text))
    elif suffix == ".md":
        yield from _paragraphs(_markdown(text))
    elif suffix in _COMMENTED or Path(path).name == "Makefile":
        lines = enumerate(text.splitlines(), 1)
        yield from _paragraphs(
            (number, match[1]) for number, line in lines if (match := _LINE_COMMENT.search(line))
        )


def _strings(text: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.JoinedStr):
            yield (
                node.lineno,
                "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "{}"
                    for part in node.values
                ),
            )
            yield from _words_of_expressions(node)
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and " " in node.value
            and not _SQL.match(node.value)
        ):
            yield node.lineno, node.value


def _words_of_expressions(node: ast.JoinedStr) -> Iterator[tuple[int, str]]:
    """Single words in the braces of an f-string, which its text contains: `{name or "someone"}`."""
    for part in node.values:
        for inner in ast.walk(part) if isinstance(part, ast.FormattedValue) else ():
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                yield inner.lineno, inner.value


def _python_comments(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("# ")


def _markdown(text: str) -> Iterator[tuple[int, str]]:
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced and not line.startswith("    "):
            yield number, line


def _paragraphs(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Joins lines that follow each other, so that a phrase may run over a line's end."""
    first, last, parts = 0, -1, list[str]()
    for number, line in lines:
        if number != last + 1 and parts:
            yield first, "\n".join(parts)
            parts = []
        if not parts:
            first = number
        parts.append(line)
        last = number
    if parts:
        yield first, "\n".join(parts)


@dataclass(frozen=True)
class Report:
    """What was found, and the lines that were read."""

    found: list[Finding]
    """Phrases that the style rules out."""
    lines: int
    """Number of lines that were read."""

    @property
    def folders(self) -> dict[str, int]:
        """Findings of each top-level folder; `.` holds the root's files."""
        counts = Counter(_folder(each.path) for each in self.found)
        return dict(sorted(counts.items()))

    @property
    def rate(self) -> float:
        """Findings per 10,000 lines."""
        return 10_000 * len(self.found) / max(self.lines, 1)


def _folder(path: str) -> str:
    return path.split("/")[0] if "/" in path else "."


def check_tree(root: Path = ROOT) -> Report:
    """Reads every file that git tracks, or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
    )
    found: list[Finding] = []
    lines = 0
    for path in sorted(set(listed.stdout.decode().split("\0")) - {""}):
        file = root / path
        if _DATA.fullmatch(path) or not file.is_file():
            continue
        if file.suffix in {".py", ".md", *_COMMENTED} or file.name == "Makefile":
            text = file.read_text("utf-8")
            lines += text.count("\n")
            found += findings(path, text)
    return Report(found, lines)


def above(counts: dict[str, int], ceilings: dict[str, int]) -> list[str]:
    """A line for each folder that has more phrases than its ceiling allows."""
    return [
        f"{folder}: {count} phrases, at most {ceilings.get(folder, 0)} allowed; "
        f"list them with: python docs/scripts/style_check.py --list {folder}"
        for folder, count in counts.items()
        if count > ceilings.get(folder, 0)
    ]


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = argparse.ArgumentParser(description="Check the words of code and documents.")
    parser.add_argument("--list", metavar="PATH", help="list the phrases in a folder or file")
    parser.add_argument("--lower", action="store_true", help="record lower counts as ceilings")
    asked = parser.parse_args(arguments)
    report = check_tree()
    ceilings: dict[str, int] = json.loads(CEILINGS.read_text("utf-8"))
    if asked.list:
        wanted = asked.list.rstrip("/")
        for each in report.found:
            if wanted in (each.path, _folder(each.path)) or each.path.startswith(f"{wanted}/"):
                print(f"{each.path}:{each.line}: {each.phrase!r}: write {each.instead}")
        return 0
    if asked.lower:
        ceilings = {
            folder: min(report.folders.get(folder, 0), ceiling)
            for folder, ceiling in ceilings.items()
        }
        CEILINGS.write_text(json.dumps(ceilings, indent=2) + "\n", "utf-8")
    problems = above(report.folders, ceilings)
    for problem in problems:
        print(problem, file=sys.stderr)
    by_folder = ", ".join(f"{folder} {count}" for folder, count in report.folders.items())
    print(
        f"style: {len(report.found)} phrases in {report.lines:,} lines, "
        f"{report.rate:.1f} per 10,000 ({by_folder or 'none'})"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
