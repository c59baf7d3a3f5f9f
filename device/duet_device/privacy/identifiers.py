"""Find what identifies a person in a question: every finder of `--redact`.

Names come from a spaCy model where one is installed, else from `duet_device.privacy.names`. Nothing is
imported before text needs it, and nothing is ever downloaded.
"""

import functools
import importlib.util
import sys
from collections.abc import Callable, Iterable

from duet_device.errors import UsageProblem
from duet_device.privacy.accounts import find_accounts, find_phones
from duet_device.privacy.folding import FoldedSpelling
from duet_device.privacy.forms import find_forms
from duet_device.privacy.found import NAME, Finder, Found
from duet_device.privacy.names import find_names
from duet_device.privacy.network import find_network

_TEXT_THAT_NEEDS_ALL = "Ann Berg, a.example.io, +1 212 555 0188"


def load_finders(note: Callable[[str], None]) -> list[Finder]:
    """Find identifiers and names.

    Args:
        note: receives one line if names are found without a model.

    Returns:
        Finders; of equal spans, the earlier one's label counts.

    Raises:
        UsageProblem: the extra `redact` is not installed.
    """
    for package in ("phonenumbers", "tldextract"):
        if importlib.util.find_spec(package) is None:
            raise UsageProblem(f"--redact needs {package}: pip install phonenumbers tldextract")
    model = spacy_model()
    if model is None:
        note(
            "no spaCy model is installed (en_core_web_sm or a larger one): names are found by "
            "their form and your dictionary alone; --show-sent shows what is left"
        )
    names = find_names if model is None else _names_by_model(model)
    return [
        *map(_on_folded, (find_network, find_accounts, find_phones, find_forms)),
        _on_folded(names),
    ]


def load_ahead(note: Callable[[str], None]) -> None:
    """Load what the finders import at the first text that needs it, for `load_finders` later on.

    Args:
        note: see `load_finders`.

    Raises:
        UsageProblem: see `load_finders`.
    """
    for finder in load_finders(note):
        list(finder(_TEXT_THAT_NEEDS_ALL))


def _on_folded(finder: Finder) -> Finder:
    """Return the finder, applied to text in one spelling."""

    def find(text: str) -> Iterable[Found]:
        folded = FoldedSpelling(text)
        for each in finder(folded.text):
            start, end = folded.span(each.start, each.end)
            yield Found(start, end, each.label, each.entity)

    return find


def spacy_model() -> str | None:
    """Return the largest English model that is installed; nothing is ever downloaded."""
    names = (f"en_core_web_{size}" for size in ("trf", "lg", "md", "sm"))
    return next((name for name in names if importlib.util.find_spec(name)), None)


@functools.cache
def _names_by_model(model: str) -> Finder:
    # With torch, or with another package's components, the import takes many times as long. Only
    # transformer models need them.
    alone = not model.endswith("_trf") and "torch" not in sys.modules
    if alone:
        sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        import spacy
        from spacy.util import registry
    finally:
        if alone:
            del sys.modules["torch"]
    if alone:
        registry._entry_point_factories.entry_points = False
    pipeline = spacy.load(model, exclude=["attribute_ruler", "lemmatizer", "parser", "tagger"])

    def find(text: str) -> Iterable[Found]:
        for entity in pipeline(text).ents:
            if entity.label_ in ("PERSON", "PER"):
                yield Found(entity.start_char, entity.end_char, NAME)

    return find
