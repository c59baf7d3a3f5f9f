"""Write a question's output: the answer to stdout, everything else to stderr."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from duet_contract import commands
from duet_contract.terminal import counted, json_escaped, one_line, printable, printable_json
from duet_device.errors import DeviceError

if TYPE_CHECKING:
    from duet_contract.receipt import Receipt, Round
    from duet_device.commands.plain_answer import PlainAnswer
    from duet_device.events import Event, Sent

_DIM, _PLAIN = "\033[2m", "\033[0m"


def _styled() -> bool:
    """Return whether the terminal may get styles: no-color.org, and terminals without styles."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def show(text: str) -> None:
    """Write lines to stdout, escaped, since others choose the names of files and pairs.

    Raises:
        OutputClosed, OutputLost: see `duet_contract.console`.
    """
    _write(printable(text) + "\n")


def show_path(path: Path) -> None:
    """Write a path to stdout, for programs exactly as it is.

    Raises:
        OutputClosed, OutputLost: see `duet_contract.console`.
    """
    if sys.stdout.isatty():
        show(str(path))
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode(path) + b"\n")
    sys.stdout.flush()


def note(line: str) -> None:
    """Write one line to stderr, escaped, since much of it comes from other sides. Never fails."""
    _tell(f"duet-device: {one_line(line)}\n")


class Output:
    """Writes one question's output as it comes.

    Args:
        as_json: nothing but the receipt, as one JSON object, goes to stdout.
        show_signal: the signal goes to stderr, dimmed if that is a terminal.
        show_sent: what left the device goes to stderr, as one JSON object.
        quiet: no receipt line.
        show_work: the computed steps go to stderr, with numbers.
        verbose: a receipt line with all that the answer cost.
    """

    def __init__(
        self,
        *,
        as_json: bool,
        show_signal: bool,
        quiet: bool,
        show_sent: bool = False,
        show_work: bool = False,
        verbose: bool = False,
    ) -> None:
        self._as_json = as_json
        self._show_signal = show_signal
        self._show_sent = show_sent
        self._show_work = show_work
        self._sent = False
        self._quiet = quiet
        self._verbose = verbose
        self._signal_shown = False
        self._last = "\n"
        self._on_terminal = sys.stdout.isatty()
        self._plain = _plain_answer() if self._on_terminal else None
        self._dim = sys.stderr.isatty() and _styled()

    def show(self, event: "Event") -> None:
        """Write an event of a question.

        Raises:
            OutputClosed, OutputLost: the answer did not reach its reader.
        """
        from duet_device.events import AnswerText, Note, Result, Sent, SignalText

        match event:
            case SignalText(text):
                self.signal(text)
            case AnswerText(text):
                self.answer(text)
            case Note(text):
                self.note(text)
            case Sent():
                self.sent(event)
            case Result(receipt):
                self.end(receipt)

    def signal(self, text: str) -> None:
        """Write the next characters of the signal."""
        if not self._show_signal:
            return
        self._signal_shown = True
        text = printable(text)
        _tell(f"{_DIM}{text}{_PLAIN}" if self._dim else text)

    def answer(self, text: str) -> None:
        """Write the next characters of the answer."""
        self._end_signal()
        if self._as_json:
            return
        if self._plain:
            text = printable(self._plain.feed(text))
        self._write_answer(text)

    def note(self, line: str) -> None:
        """Write a line that the user should know."""
        self._end_signal()
        note(line)

    def sent(self, event: "Sent") -> None:
        """Write everything that left the device for this question."""
        self._sent = True
        if self._show_sent:
            self.note(f"sent: {json_escaped(event.as_json())}")

    def end(self, receipt: "Receipt") -> None:
        """Write the rest of the answer: the end of its line, or the receipt as JSON.

        Raises:
            OutputClosed, OutputLost: the answer did not reach its reader.
        """
        self._end_signal()
        if self._plain and not self._as_json:
            self._write_answer(printable(self._plain.finish()))
        if self._as_json:
            _write(json_escaped(receipt.model_dump_json()) + "\n")
        elif self._last != "\n" or not receipt.answer:
            self._last = "\n"
            _write("\n")

    def receipt(self, receipt: "Receipt", stored: str | None = None) -> None:
        """Say on stderr what the answer cost, and why to doubt it.

        Args:
            receipt: of the answer, which `end` has written.
            stored: the id of its record in history, if there is one.
        """
        if self._show_sent and not self._sent:
            self.note("sent: nothing")
        if self._show_work:
            self.note(f"work: {'; '.join(receipt.work) or 'nothing was computed'}")
        if receipt.low_confidence:
            self.note(f"low confidence: {_doubt(receipt)}; check it")
        if not self._quiet:
            line = receipt_line(receipt)
            if self._verbose:
                line += "\n" + receipt_details(receipt)
            _tell(line + (f", stored as {stored}" if stored else "") + "\n")

    def break_off(self) -> None:
        """End the current line after a failed question, so that the error starts a new line."""
        self._end_signal()
        if self._last != "\n" and self._on_terminal:
            self._last = "\n"
            _tell("\n")

    def _write_answer(self, text: str) -> None:
        if text:
            self._last = text[-1]
            _write(text)

    def _end_signal(self) -> None:
        if self._signal_shown:
            self._signal_shown = False
            _tell("\n\n")


def show_error(error: DeviceError) -> None:
    """Write an error to stdout as one JSON object.

    Raises:
        OutputClosed, OutputLost: see `duet_contract.console`.
    """
    _write(printable_json(error_data(error)) + "\n")


def error_data(error: DeviceError) -> dict[str, object]:
    """Return an error as the object that `--json` and the rows of a batch hold."""
    return commands.error_data(type(error).__name__, error.exit_code, str(error))


def receipt_line(receipt: "Receipt") -> str:
    """Return what an answer cost in one line of less than 80 characters.

    Examples: "7 large-model tokens, 268 B, 1.2 s", "device alone, 1.2 s". A pair with a measured
    figure adds it: "16 large-model tokens (before training: about 122), 268 B, 1.2 s", or
    "7 large-model tokens (one model alone: about 44), 268 B, 1.2 s".
    """
    parts: list[str] = []
    if receipt.source == "device":
        parts.append("device alone")
    else:
        count = receipt.tokens.signal
        stored = receipt.source == "history"
        parts.append(
            f"stored signal of {counted(count, 'token')}"
            if stored
            else counted(count, "large-model token")
        )
    if receipt.finish.endswith("+budget"):
        parts[-1] += " (budget)"
    if receipt.finish.endswith("+enough"):
        parts[-1] += " (enough)"
    if compared := _compared(receipt):
        parts[-1] += f" ({compared})"
    if len(receipt.rounds) > 1:
        parts.append(f"{len(receipt.rounds)} rounds")
    if receipt.outcome == "partial":
        parts[-1] += " (incomplete)"
    if receipt.finish.startswith("limit"):
        parts.append("answer cut")
    if receipt.bytes.up:
        parts.append(f"{receipt.bytes.up + receipt.bytes.down} B")
    return ", ".join([*parts, f"{receipt.ms.total / 1e3:.1f} s"])


def _compared(receipt: "Receipt") -> str:
    """Return what the tokens of one complete signal compare with; empty for other answers."""
    is_whole = receipt.finish == "end" and receipt.outcome != "partial"
    if receipt.source != "duet" or not is_whole or len(receipt.rounds) > 1:
        return ""
    if receipt.tokens.alone is not None:
        return f"before training: about {receipt.tokens.alone}"
    # The model alone answers what a reasoner of formulas refuses.
    if receipt.tokens.peer is not None and receipt.value is not None:
        return f"one model alone: about {receipt.tokens.peer}"
    return ""


def receipt_details(receipt: "Receipt") -> str:
    """Return all that an answer cost in one line."""
    tokens, ms, flops = receipt.tokens, receipt.ms, receipt.flops
    parts: list[str] = ["device alone" if receipt.source == "device" else receipt.source]
    if receipt.source != "device":
        parts.append(counted(tokens.signal, "signal token"))
        if receipt.finish.endswith("+budget"):
            parts[-1] += " (cut at the budget)"
        if receipt.finish.endswith("+enough"):
            parts[-1] += f" (enough, {receipt.tokens.spared or 0} spared)"
        if receipt.outcome == "partial":
            parts[-1] += " (incomplete)"
        if receipt.server:
            parts.append(f"from {receipt.server}")
        if receipt.resumed:
            parts.append(f"resumed: {receipt.resumed}")
        if len(receipt.rounds) > 1:
            parts.append(f"rounds: {', '.join(map(_round, receipt.rounds))}")
    if tokens.context:
        parts.append(counted(tokens.context, "context token"))
    parts.append(counted(tokens.answer, "answer token"))
    if receipt.finish.startswith("limit"):
        parts[-1] += " (cut at the limit)"
    if receipt.bytes.up:
        parts += [f"{receipt.bytes.up} B up", f"{receipt.bytes.down} B down"]
    if ms.first_answer is not None:
        parts.append(f"first answer {ms.first_answer / 1e3:.1f} s")
    parts.append(f"total {ms.total / 1e3:.1f} s")
    if (route := receipt.route) and route.measure:
        value = "unknown" if route.value is None else f"{route.value:.3g}"
        parts.append(f"{route.taken} by {route.measure} {value} of {route.threshold:.3g}")
    if receipt.source == "duet":
        spent, alone = flops.reasoner / 1e9, flops.reasoner_alone / 1e9
        parts.append(f"large model {spent:.1f} of {alone:.1f} GFLOPs")
    return " · ".join(parts)


def _round(one: "Round") -> str:
    """Return a round in words: "12 tokens for 9 (least_probability 0.41)"."""
    value = "" if one.value is None else f" ({one.measure} {one.value:.2f})"
    return f"{one.tokens} tokens for {one.answer or 'nothing'}{value}"


def _plain_answer() -> "PlainAnswer":
    from duet_device.commands.plain_answer import PlainAnswer

    return PlainAnswer()


def _doubt(receipt: "Receipt") -> str:
    reasons = list(receipt.doubts)
    if receipt.outcome == "partial":
        reasons = reasons or ["the signal is incomplete"]
    elif receipt.chance is not None:
        reasons.append(f"{receipt.chance:.0%} of such answers are right")
    return ", ".join(reasons) or "this pair may not know how to answer that"


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _tell(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
