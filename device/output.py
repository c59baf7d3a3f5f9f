"""What a question looks like on the terminal: answer on stdout, all else on stderr."""

import sys
from typing import TYPE_CHECKING, TextIO

import click

from device.errors import OutputClosed

if TYPE_CHECKING:
    from duet_contract.receipt import Receipt
    from duet_contract.v1.inference_pb2 import ReasonRequest

_DIM, _PLAIN = "\033[2m", "\033[0m"
# Models must not steer a terminal: control characters are dropped there, except tab and line feed.
_CONTROLS = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)])


def one_line(text: str) -> str:
    """Text as a line of its own that steers no terminal: much of it is what another side said."""
    return text.replace("\n", " ").translate(_CONTROLS)


class Output:
    """Writes one question's output as it comes.

    Args:
        as_json: nothing but the receipt, as one JSON object, goes to stdout.
        show_signal: the signal goes to stderr, dimmed if that is a terminal.
        show_sent: what left the device goes to stderr, as one JSON object.
        quiet: no receipt line.
    """

    def __init__(
        self, *, as_json: bool, show_signal: bool, quiet: bool, show_sent: bool = False
    ) -> None:
        self._as_json = as_json
        self._show_signal = show_signal
        self._show_sent = show_sent
        self._sent = False
        self._quiet = quiet
        self._signal_shown = False
        self._last = "\n"
        self._plain_stdout = sys.stdout.isatty()
        self._terminal = sys.stderr.isatty()
        for stream in (sys.stdout, sys.stderr):
            # A terminal that cannot show a character shows a question mark instead of failing.
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure:
                reconfigure(errors="replace")

    def signal(self, text: str) -> None:
        """The next characters of the signal."""
        if not self._show_signal:
            return
        self._signal_shown = True
        if self._terminal:
            text = f"{_DIM}{text.translate(_CONTROLS)}{_PLAIN}"
        _write(sys.stderr, text)

    def answer(self, text: str) -> None:
        """The next characters of the answer."""
        self._end_signal()
        if not self._as_json:
            self._last = text[-1]
            _write(sys.stdout, text.translate(_CONTROLS) if self._plain_stdout else text)

    def note(self, line: str) -> None:
        """A line that the user should know."""
        self._end_signal()
        click.echo(f"duet-device: {one_line(line)}", err=True)

    def sent(self, request: "ReasonRequest") -> None:
        """Everything that left the device for this question."""
        self._sent = True
        if self._show_sent:
            from google.protobuf.json_format import MessageToJson

            said = MessageToJson(
                request, preserving_proto_field_name=True, indent=None, ensure_ascii=False
            )
            self.note(f"sent: {said}")

    def receipt(self, receipt: "Receipt", kept: str | None = None) -> None:
        """The end: closes the answer's last line and says what it cost; `kept`: under which id."""
        self._end_signal()
        if self._as_json:
            _write(sys.stdout, receipt.model_dump_json() + "\n")
        elif self._last != "\n" or not receipt.answer:
            _write(sys.stdout, "\n")
        if self._show_sent and not self._sent:
            self.note("sent: nothing")
        if receipt.low_confidence:
            self.note("low confidence: this pair may not know how to answer that; check it")
        if not self._quiet:
            line = receipt_line(receipt) + (f" · kept as {kept}" if kept else "")
            click.echo(line, err=True)

    def break_off(self) -> None:
        """The question fails: what is told next gets a line of its own."""
        self._end_signal()
        if self._last != "\n" and self._plain_stdout:
            self._last = "\n"
            _write(sys.stderr, "\n")

    def _end_signal(self) -> None:
        if self._signal_shown:
            self._signal_shown = False
            _write(sys.stderr, "\n\n")


def for_terminal(text: str, stream: TextIO) -> str:
    """Text without what would steer the terminal, if `stream` is one."""
    return text.translate(_CONTROLS) if stream.isatty() else text


def receipt_line(receipt: "Receipt") -> str:
    """The receipt in one line, for people."""
    tokens, ms, flops = receipt.tokens, receipt.ms, receipt.flops
    parts: list[str] = ["device alone" if receipt.source == "device" else receipt.source]
    if receipt.source != "device":
        parts.append(f"{tokens.signal} signal tokens")
        if receipt.finish.endswith("+budget"):
            parts[-1] += " (cut at the budget)"
    if tokens.context:
        parts.append(f"{tokens.context} context tokens")
    parts.append(f"{tokens.answer} answer tokens")
    if receipt.finish.startswith("limit"):
        parts[-1] += " (cut at the limit)"
    if receipt.bytes.up:
        parts += [f"{receipt.bytes.up} B up", f"{receipt.bytes.down} B down"]
    if ms.first_answer is not None:
        parts.append(f"first answer {ms.first_answer / 1e3:.1f} s")
    parts.append(f"total {ms.total / 1e3:.1f} s")
    if receipt.source == "duet":
        spent, alone = flops.reasoner / 1e9, flops.reasoner_alone / 1e9
        parts.append(f"large model {spent:.1f} of {alone:.1f} GFLOPs")
    return " · ".join(parts)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError as error:
        raise OutputClosed("the output was closed") from error
