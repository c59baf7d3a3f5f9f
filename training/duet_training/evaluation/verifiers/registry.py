"""Verifiers by name, and a check that a verifier distinguishes right from wrong answers."""

import importlib
from collections.abc import Callable

from duet_contract.answers import ReferenceKind
from duet_training.errors import VerifierError
from duet_training.evaluation.verifiers.base import Verifier
from duet_training.evaluation.verifiers.gym import GymVerifier
from duet_training.evaluation.verifiers.math import MathVerifier
from duet_training.evaluation.verifiers.strings import (
    BoxedVerifier,
    LetterVerifier,
    ReleasedVerifier,
)

# The one table of verifiers; `data.verifier` and rows name them. Each is made of the processes and
# seconds of its comparisons, if it compares apart, and of whether numbers must be computed.
VERIFIERS: dict[str, Callable[[int, float, bool], Verifier]] = {
    "math": lambda processes, seconds, computed: MathVerifier(
        processes, seconds, computed=computed
    ),
    "number": lambda _, __, computed: BoxedVerifier(ReferenceKind.NUMBER, computed=computed),
    "choice": lambda *_: BoxedVerifier(ReferenceKind.CHOICE),
    "letter": lambda *_: LetterVerifier(),
    "released": lambda *_: ReleasedVerifier(),
    "gym": lambda processes, seconds, _: GymVerifier(processes, seconds),
}


def make_verifier(
    name: str, processes: int = 1, seconds: float = 5.0, *, computed: bool = True
) -> Verifier:
    """Make and check the verifier `name`, or `package.module:Class` without arguments.

    Built-in verifiers that compare apart have so many `processes`, and `seconds` for a comparison.
    Numbers need not be `computed` for a pair whose device computes.

    Raises:
        VerifierError: No verifier has that name, or it fails its own examples.
    """
    built_in = VERIFIERS.get(name)
    verifier = built_in(processes, seconds, computed) if built_in else _imported(name)()
    check_verifier(verifier, name)
    return verifier


def check_verifier(verifier: Verifier, name: str) -> None:
    """Score the verifier's examples: known right answers and known wrong ones.

    A verifier that scores everything 0, or everything 1, trains a model on noise without an error.

    Raises:
        VerifierError: An example has another score, or the examples are one-sided.
    """
    examples = verifier.examples()
    wanted = [score for *_, score in examples]
    if not {0.0, 1.0} <= set(wanted):
        raise VerifierError(f"verifier {name!r} needs examples of right and of wrong answers")
    got = verifier.score([e[0] for e in examples], [e[1] for e in examples])
    for (response, truth, score), given in zip(examples, got, strict=True):
        if abs(given - score) > 1e-6:
            verifier.close()
            raise VerifierError(
                f"verifier {name!r} scored {response!r} {given:g} where the reference is "
                f"{truth.answer!r}; it must be {score:g}"
            )


def _imported(name: str) -> Callable[[], Verifier]:
    module, _, attribute = name.partition(":")
    if not attribute:
        raise VerifierError(
            f"there is no verifier {name!r}; there are: {', '.join(VERIFIERS)}, "
            "or your own as package.module:Class"
        )
    try:
        factory: Callable[[], Verifier] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise VerifierError(f"cannot import verifier {name!r}: {error}") from error
    return factory
