"""Writes formulas in one canonical form, so that a model learns one way to say each solution.

Each step is a flat sum or a flat product; what is nested becomes a step of its own. A step that is
used once, in a step of its own sort, is merged into that one. Operands that may change places are
in the order in which the question names their quantities, constants last. Steps are called A, B, C;
the last has no name.
"""

from dataclasses import dataclass
from fractions import Fraction
from string import ascii_uppercase

from duet_contract.errors import FormulaError
from duet_contract.quantities import plain
from duet_contract.quantities.formula import Constant, Expression, Name, Operation, Step, parse


@dataclass(frozen=True)
class _Chain:
    """A sum or a product."""

    additive: bool
    """Whether it is a sum."""
    terms: tuple[tuple[bool, "_Term"], ...]
    """Terms, each with whether it is subtracted or divided by."""


@dataclass(frozen=True)
class _Call:
    """An operation that is neither sum nor product: `//`, `mod` and functions."""

    sign: str
    """The operation's sign or name."""
    operands: tuple["_Term", ...]
    """Operands in order."""


@dataclass(frozen=True)
class _Percent:
    """A hundredth of a term."""

    of: "_Term"
    """The term."""


_Term = Constant | Name | _Percent | _Chain | _Call


def canonical(formula: str) -> str:
    """Write a formula in its canonical form, with the same value.

    Raises:
        FormulaError: it cannot be parsed, or has more steps than there are names.

    Examples:
        >>> canonical("(c-a*b)/d"), canonical("x=b+a; y=x-c; y*2")
        ('a*b=A;c-A=B;B/d', 'a+b-c=A;A*2')
    """
    # Again: a step that was written twice is one step only in what was written first, and such
    # steps are written before others.
    return _once(_once(formula))


def _once(formula: str) -> str:
    return _write(_inline(parse(formula)))


def _inline(steps: tuple[Step, ...]) -> list[tuple[str, _Term]]:
    """Return the steps that the answer needs; inline the steps that are used once."""
    terms = {step.name: _term(step.expression) for step in steps}
    order = [step.name for step in steps]
    uses = dict.fromkeys(order, 0)
    needed = [order[-1]]
    for name in needed:
        for used in _names(terms[name]):
            if used in terms:
                uses[used] += 1
                if used not in needed:
                    needed.append(used)
    kept: list[tuple[str, _Term]] = []
    inlined: dict[str, _Term] = {}
    for name in order:
        if name not in needed:
            continue
        term = _replace(terms[name], inlined)
        if name != order[-1] and (uses[name] == 1 or isinstance(term, Name | Constant)):
            inlined[name] = term
        else:
            kept.append((name, term))
    return kept


def _term(expression: Expression) -> _Term:
    if not isinstance(expression, Operation):
        return expression
    parts = tuple(_term(operand) for operand in expression.operands)
    match expression.sign:
        case "+" | "-" | "*" | "/":
            additive = expression.sign in "+-"
            turned = expression.sign in "-/"
            return _chain(additive, ((False, parts[0]), (turned, parts[1])))
        case "negative":
            return _chain(True, ((False, Constant(Fraction(0))), (True, parts[0])))
        case "%":
            return _Percent(parts[0])
        case _:
            return _Call(expression.sign, parts)


def _chain(additive: bool, terms: tuple[tuple[bool, _Term], ...]) -> _Term:
    """Make a chain and merge nested chains of the same sort into it; a lone term stays a term."""
    flat: list[tuple[bool, _Term]] = []
    for turned, term in terms:
        if isinstance(term, _Chain) and term.additive == additive:
            flat += [(turned != inner, part) for inner, part in term.terms]
        else:
            flat.append((turned, term))
    # What changes nothing is left out, unless all else is subtracted from it or divides it.
    idle = Constant(Fraction(0 if additive else 1))
    flat = [part for part in flat if part[1] != idle]
    if all(turned for turned, _ in flat):
        flat.insert(0, (False, idle))
    if len(flat) == 1 and not flat[0][0]:
        return flat[0][1]
    return _Chain(additive, tuple(flat))


def _replace(term: _Term, given: dict[str, _Term]) -> _Term:
    if isinstance(term, Name):
        return given.get(term.name, term)
    if isinstance(term, _Percent):
        return _Percent(_replace(term.of, given))
    if isinstance(term, _Call):
        return _Call(term.sign, tuple(_replace(part, given) for part in term.operands))
    if isinstance(term, _Chain):
        parts = tuple((turned, _replace(part, given)) for turned, part in term.terms)
        return _chain(term.additive, parts)
    return term


def _names(term: _Term) -> list[str]:
    """Return the names in a term, one entry per occurrence."""
    if isinstance(term, Name):
        return [term.name]
    if isinstance(term, _Percent):
        return _names(term.of)
    if isinstance(term, _Call):
        return [name for part in term.operands for name in _names(part)]
    if isinstance(term, _Chain):
        return [name for _, part in term.terms for name in _names(part)]
    return []


def _write(steps: list[tuple[str, _Term]]) -> str:
    writer = _Writer()
    for name, term in steps:
        writer.renamed[name] = writer.answer(term)
    return writer.text()


class _Writer:
    def __init__(self) -> None:
        self.renamed: dict[str, str] = {}
        self._places: dict[str, tuple[int, int, str, bool]] = {}
        self._written: list[tuple[str, str]] = []
        self._last = ""

    def text(self) -> str:
        """Join all steps; the last one is written without its name."""
        answer = next(text for name, text in self._written if name == self._last)
        parts = [f"{text}={name}" for name, text in self._written if name < self._last]
        return ";".join([*parts, answer])

    def answer(self, term: _Term) -> str:
        """Write the step that gives the answer, unless another follows; return its name."""
        self._last = self.step(term)
        return self._last

    def step(self, term: _Term) -> str:
        """Write a step after the steps that it needs; return its name."""
        place, text = self._place(term), self._inside(term)
        for name, written in self._written:
            if written == text:
                return name
        if len(self._written) == len(ascii_uppercase):
            raise FormulaError(f"the formula has more than {len(ascii_uppercase)} steps")
        name = ascii_uppercase[len(self._written)]
        self._places[name] = place
        self._written.append((name, text))
        return name

    def _inside(self, term: _Term) -> str:
        if isinstance(term, _Chain):
            return self._chained(term)
        if isinstance(term, _Call):
            if term.sign in ("//", "mod"):
                atoms = [self._atom(part) for part in term.operands]
                return {"//": "//", "mod": " mod "}[term.sign].join(atoms)
            inside = [
                self._chained(part) if isinstance(part, _Chain) else self._atom(part)
                for part in term.operands
            ]
            return f"{term.sign}({','.join(inside)})"
        return self._atom(term)

    def _chained(self, chain: _Chain) -> str:
        """Order the terms; the first is neither subtracted nor a divisor."""
        plus, minus = ("+", "-") if chain.additive else ("*", "/")
        ordered = sorted(
            chain.terms,
            key=lambda part: (not chain.additive and part[0], self._place(part[1])),
        )
        first = next(part for part in ordered if not part[0])
        ordered.remove(first)
        atoms = [self._atom(first[1])]
        for turned, term in ordered:
            atoms += minus if turned else plus, self._atom(term)
        return "".join(atoms)

    def _place(self, term: _Term) -> tuple[int, int, str, bool]:
        """Return the sort key: position of the first quantity, labels first, constants last."""
        if isinstance(term, Name):
            name = self.renamed.get(term.name, term.name)
            return self._places.get(name, (0, len(name), name, False))
        if isinstance(term, Constant):
            return 1, 0, plain(term.value), False
        if isinstance(term, _Percent):
            return self._place(term.of)
        parts = term.operands if isinstance(term, _Call) else [part for _, part in term.terms]
        first = min(map(self._place, parts))
        return *first[:3], True

    def _atom(self, term: _Term) -> str:
        if isinstance(term, Constant):
            return plain(term.value)
        if isinstance(term, Name):
            return self.renamed.get(term.name, term.name)
        if isinstance(term, _Percent):
            inside = self.step(term.of) if isinstance(term.of, _Percent) else self._atom(term.of)
            return f"{inside}%"
        return self.step(term)
