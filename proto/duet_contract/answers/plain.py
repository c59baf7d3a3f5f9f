r"""Turn the LaTeX, Markdown and Unicode of a final answer into text as a person writes it.

Everything else reads this form: `-\frac{3}{4}` is `-3/4`, `2\frac12` is `2 1/2`, `5\text{ cm}` is
`5 cm`, `1{,}000` is `1,000`, `x^{10}` is `x^10`.
"""

import re
import unicodedata

MAX_LENGTH = 1_000
"""Characters; a longer text is not a final answer, and is refused before it is parsed."""
_MAX_DEPTH = 40

# Commands whose argument is what they show.
_SHOWN = {
    "text", "textbf", "textit", "textrm", "textsf", "texttt", "textnormal", "textup", "emph",
    "mathrm", "mathbf", "mathit", "mathsf", "mathtt", "mathnormal", "boldsymbol", "bm", "bold",
    "mbox", "hbox", "fbox", "boxed", "underline", "uline", "operatorname", "ensuremath", "mathop",
}  # fmt: skip
# Commands that only set spacing, size, font or delimiters' height.
_DROPPED = {
    "left", "right", "middle", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr",
    "biggl", "biggr", "Biggl", "Biggr", "displaystyle", "textstyle", "scriptstyle", "limits",
    "nolimits", "bf", "rm", "it", "tt", "sf", "em", "bfseries", "itshape", "large", "Large",
    "LARGE", "huge", "Huge", "small", "normalsize", "centering", "(", ")", "[", "]", "!",
}  # fmt: skip
_SPACES = {
    ",", ";", ":", ">", "space", "quad", "qquad", "enspace", "thinspace", "medspace",
    "thickspace",
}  # fmt: skip
_SYMBOLS = {
    **{character: character for character in "%$&_#{}"},
    "times": "×", "cdot": "·", "ast": "*", "div": "÷", "pm": "±", "mp": "∓", "pi": "π",
    "infty": "∞", "le": "≤", "leq": "≤", "leqslant": "≤", "ge": "≥", "geq": "≥", "geqslant": "≥",
    "lt": "<", "gt": ">", "ne": "≠", "neq": "≠", "approx": "≈", "circ": "°", "degree": "°",
    "cup": "∪", "cap": "∩", "in": "∈", "ldots": "...", "dots": "...", "cdots": "...",
    "euro": "€", "pounds": "£", "textdollar": "$", "textpercent": "%", "lbrace": "{",
    "rbrace": "}", "emptyset": "∅", "varnothing": "∅", "to": "→", "rightarrow": "→",
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "theta": "θ", "lambda": "λ", "mu": "μ",
    "phi": "φ", "omega": "ω", "sigma": "σ", "lvert": "|", "rvert": "|", "mid": "|",
}  # fmt: skip
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-", strict=True))
_CHARACTERS = {
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d", "-"),
    "\u066b": ".", "\u066c": ",", "\u2044": "/", "\u2019": "'", "⋅": "·", "∙": "·", "×": "×",
}  # fmt: skip
# A fraction while it is not known what is next to it.
_OPEN, _CLOSE = "\ue000", "\ue001"
_FRACTION = re.compile(rf"{_OPEN}([^{_OPEN}{_CLOSE}]*){_CLOSE}")
_MATH = re.compile(r"\$\$([^$]*)\$\$|(?<!\\)\$(?=\S)((?:\\.|[^$\\])*)(?<=\S)\$(?!\d)")
_EMPHASIS = re.compile(
    r"\*\*([^*]+)\*\*|(?<![\w*)])\*([^\s*]|[^\s*][^*]*[^\s*])\*(?![\w*(])|`+([^`]+)`+"
)
_BLANKS = re.compile(r"[ \t\f\v]+")
_TOKEN = re.compile(r"\\(?:[A-Za-z]+\*?|.)|[{}^_~&]|[^\\{}^_~&]", re.DOTALL)


def plain(text: str, limit: int = MAX_LENGTH) -> str | None:
    r"""Return a final answer as a person writes it.

    Args:
        text: LaTeX, Markdown, Unicode or any mixture. Two dollar signs are math delimiters by
            pandoc's rule: no blank inside them, no digit behind; any other is a currency.
        limit: characters.

    Returns:
        The text, line breaks kept; None if it is longer than `limit` or nested too deep.

    Examples:
        >>> plain(r"$-\dfrac{3}{4}$")
        '-3/4'
        >>> plain(r"\textbf{5}\text{ cm}^2")
        '5 cm^2'
        >>> plain("**¾**")
        '3/4'
    """
    if len(text) > limit:
        return None
    text = _standard_characters(text)
    if "$" in text:
        text = _MATH.sub(lambda found: found[1] or found[2] or "", text)
    if "\\" in text or "{" in text or "^" in text or "~" in text:
        try:
            text = _Latex(text).read()
        except _TooDeepError:
            return None
    if "*" in text or "`" in text:
        text = _EMPHASIS.sub(lambda found: found[1] or found[2] or found[3], text)
    text = re.sub(" *· *", "·", text)
    return "\n".join(_BLANKS.sub(" ", line).strip() for line in text.strip().split("\n"))


def _standard_characters(text: str) -> str:
    """Write digits, signs, blanks, fractions, superscripts in ASCII; drop invisible characters."""
    if text.isascii():
        return text.replace("\r\n", "\n")
    out: list[str] = []
    for character in text:
        if character.isascii():
            out.append(character)
            continue
        category = unicodedata.category(character)
        if character in _CHARACTERS:
            out.append(_CHARACTERS[character])
        elif category == "Nd":
            out.append(str(unicodedata.decimal(character)))
        elif category == "Zs":
            out.append(" ")
        elif category == "Cf":
            continue
        elif character in _SUPERSCRIPTS:
            raised = len(out) > 0 and out[-1][:1] == "^"
            out.append(("^^" if raised else "^") + _SUPERSCRIPTS[character])
        elif category == "No" and "\u2044" in (spelt := unicodedata.normalize("NFKC", character)):
            out.append(" " * (out[-1:] != [] and out[-1].isdigit()) + spelt.replace("\u2044", "/"))
        elif "\uff00" <= character <= "\uffef":
            out.append(unicodedata.normalize("NFKC", character))
        else:
            out.append(character)
    # The second of two raised digits: "10²³" is "10^23".
    return unicodedata.normalize("NFC", "".join(out).replace("^^", ""))


class _TooDeepError(Exception):
    """Braces are nested deeper than any answer's."""


class _Latex:
    """One pass over LaTeX; every token is read once."""

    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text)
        self._next = 0

    def read(self) -> str:
        text = self._until_close(0)
        while self._next < len(self._tokens):  # Braces that close nothing are skipped.
            text += self._until_close(0)
        return _place_fractions(text)

    def _until_close(self, depth: int) -> str:
        if depth > _MAX_DEPTH:
            raise _TooDeepError
        out: list[str] = []
        while self._next < len(self._tokens):
            part = self._tokens[self._next]
            self._next += 1
            if part == "}":
                break
            out.append(self._one(part, depth))
        return "".join(out)

    def _one(self, part: str, depth: int) -> str:
        if part == "{":
            return self._until_close(depth + 1)
        if part in "^_":
            raised = self._number() or self._argument(depth).strip()
            if raised == "°":
                return raised
            return part + (raised if re.fullmatch(r"[-+]?\w+|'+|\*", raised) else f"({raised})")
        if part == "~":
            return " "
        return self._command(part[1:], depth) if part[0] == "\\" and part != "\\" else part

    def _command(self, name: str, depth: int) -> str:
        if name in _SHOWN:
            return self._argument(depth)
        if name in ("frac", "dfrac", "tfrac", "cfrac"):
            above, below = self._argument(depth).strip(), self._argument(depth).strip()
            return f"{_OPEN}{_grouped(above, negative=True)}/{_grouped(below)}{_CLOSE}"
        if name == "sqrt":
            root = self._argument(depth).strip()
            if root == "[":  # An index: the cube root stays as it is.
                return "\\sqrt["
            return "√" + (root if re.fullmatch(r"\w|\d+", root) else f"({root})")
        if name in ("color", "textcolor", "colorbox"):
            self._argument(depth)
            return self._argument(depth) if name != "color" else ""
        if name in ("begin", "end"):
            return f"\\{name}{{{self._argument(depth)}}}"
        if name == "!":
            while self._next < len(self._tokens) and self._tokens[self._next].isspace():
                self._next += 1
        if name in _DROPPED:
            return ""
        if name in _SPACES or name.isspace():
            return " "
        return _SYMBOLS.get(name, f"\\{name}")

    def _argument(self, depth: int) -> str:
        """Return a braced group, or the next part."""
        if depth > _MAX_DEPTH:
            raise _TooDeepError
        while self._next < len(self._tokens) and self._tokens[self._next].isspace():
            self._next += 1
        if self._next == len(self._tokens) or self._tokens[self._next] == "}":
            return ""
        part = self._tokens[self._next]
        self._next += 1
        return _place_fractions(self._one(part, depth + 1))

    def _number(self) -> str:
        """Return a whole number that is raised without braces, as people write 10^12 and 10^-3."""
        start = self._next
        if self._tokens[start : start + 1] in (["-"], ["+"]):
            self._next += 1
        digits = self._next
        while self._next < len(self._tokens) and self._tokens[self._next].isdecimal():
            self._next += 1
        if self._next == digits:
            self._next = start
        return "".join(self._tokens[start : self._next])


def _grouped(text: str, *, negative: bool = False) -> str:
    """In brackets, unless it is one number or name."""
    pattern = r"-?[\w.,]+" if negative else r"[\w.,]+"
    return text if re.fullmatch(pattern, text) else f"({text})"


def _place_fractions(text: str) -> str:
    """Write each fraction so that it stays one number next to its neighbors."""
    if _OPEN not in text:
        return text

    def place(found: re.Match[str]) -> str:
        before = text[: found.start()].rstrip()[-1:]
        behind = text[found.end() :].lstrip(_CLOSE)
        glued = re.match(rf"\w|\s?(?:[(√^{_OPEN}]|\\(?!\\|end\b))", behind)
        if glued or before.isalpha() or before == ")":
            return f"({found[1]})"
        return f" {found[1]}" if before.isdigit() else found[1]

    return _BLANKS.sub(" ", _FRACTION.sub(place, text))
