"""Records the terminal of the quick start as SVG: runs `make demo`'s command and draws its output.

    python docs/scripts/record.py docs/images/demo.svg [--pair NAME] [QUESTION]

The command runs in a pseudo-terminal, so that the picture shows what a user sees.
"""

import argparse
import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

from duet_contract.pairs import DEFAULT_PAIR

QUESTION = (
    "Nina had 40 euros. She bought 3 books for 8 euros each. How much money does she have left?"
)
WIDTH = 96
# What moves the cursor of a terminal, as rich's progress display does.
_MOVES = re.compile(r"(\n|\r|\x1b\[1A|\x1b\[2K|\x1b\[\?25[lh])")
# rich's format without its fonts, which a browser would load from another host, and without the
# clipping of the terminal, which cuts the last line.
_FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}"
  xmlns="http://www.w3.org/2000/svg" role="img">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g></g></svg>
"""


def run(command: list[str], width: int) -> tuple[int, str]:
    """Runs a command in a pseudo-terminal; returns its exit code and what it wrote."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(width), "TERM": "xterm-256color"}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        parts = []
        try:
            while part := os.read(ours, 65536):
                parts.append(part)
        except OSError:
            pass  # A pseudo-terminal ends with EIO when its last writer is gone.
    os.close(ours)
    return process.returncode, b"".join(parts).decode("utf-8", "replace")


def screen(output: str) -> list[str]:
    """The lines that a terminal shows after `output`: progress that was erased is gone."""
    lines = [""]
    for token in _MOVES.split(output.replace("\r\n", "\n")):
        if token == "\n":
            lines.append("")
        elif token == "\x1b[1A":
            if len(lines) > 1:
                lines.pop()
        elif token in ("\r", "\x1b[2K"):
            lines[-1] = ""
        elif token not in ("\x1b[?25l", "\x1b[?25h"):
            lines[-1] += token
    return lines


def question_alone(lines: list[str]) -> list[str]:
    """From the command that asks, without what the service that answers it reports."""
    (start,) = (row for row, line in enumerate(lines) if "$ duet-device ask" in line)
    return [line for line in lines[start:] if line.strip() and "cloud service" not in line]


def drawn(title: str, lines: list[str], width: int) -> str:
    """The SVG of a terminal that shows `lines`."""
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(Text.from_ansi(line), soft_wrap=False)
    return console.export_svg(
        title=title, theme=SVG_EXPORT_THEME, code_format=_FORMAT, unique_id="demo"
    )


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = argparse.ArgumentParser(description="Record the terminal of the quick start.")
    parser.add_argument("target", type=Path)
    parser.add_argument("question", nargs="?", default=QUESTION)
    parser.add_argument("--pair", default=DEFAULT_PAIR)
    asked = parser.parse_args(arguments)
    command = [
        sys.executable,
        "-m",
        "duet_tools",
        "demo",
        "--pair",
        asked.pair,
        "--",
        asked.question,
    ]
    code, output = run(command, WIDTH)
    if code:
        print(output, file=sys.stderr)
        return code
    svg = drawn("make demo", question_alone(screen(output)), WIDTH)
    asked.target.write_text(svg, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
