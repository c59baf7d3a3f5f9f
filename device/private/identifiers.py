"""What identifies somebody in a question, found by `presidio-analyzer` (the extra `redact`).

Presidio's recognisers of fixed forms (e-mail, phone, card, IBAN, IP, ...) need no language model.
Names come from a spaCy model where one is installed, else from `device.private.names`.
"""

import importlib.util
import logging
import os
import re
from collections.abc import Callable, Iterable
from typing import Any

from device.errors import UsageProblem
from device.private.forms import find_forms
from device.private.names import find_names
from device.private.redaction import Finder, Found

_LABELS = {
    "EMAIL_ADDRESS": "EMAIL",
    "PHONE_NUMBER": "PHONE",
    "CREDIT_CARD": "CARD",
    "IBAN_CODE": "IBAN",
    "IP_ADDRESS": "IP",
    "MAC_ADDRESS": "MAC",
    "US_SSN": "SSN",
    "CRYPTO": "WALLET",
    "URL": "URL",
    "PERSON": "NAME",
}
# Presidio's own scores: below are forms that many other things have, too.
_LEAST_SCORE = 0.4
_LANGUAGE = "en"


def load_finder(note: Callable[[str], None]) -> Finder:
    """Finds identifiers and names; `note` is told where names are found without a model.

    Raises:
        UsageProblem: `presidio-analyzer` is not installed.
    """
    # Both would write to stderr what nobody asked for, when they are imported.
    logging.getLogger("presidio-analyzer").setLevel(logging.CRITICAL)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        import presidio_analyzer
    except ImportError as error:
        raise UsageProblem(
            "--redact needs presidio-analyzer: pip install 'duet-split[redact]'"
        ) from error
    _stay_offline()
    model = _spacy_model()
    analyzer = _analyzer(presidio_analyzer, model)
    if model is None:
        note(
            "no spaCy model is installed (en_core_web_sm or a larger one): names are found by "
            "their form and your dictionary alone; --show-sent shows what is left"
        )

    def find(text: str) -> Iterable[Found]:
        results = analyzer.analyze(
            text, _LANGUAGE, entities=list(_LABELS), score_threshold=_LEAST_SCORE
        )
        # The surest first, then the longest.
        for result in sorted(results, key=lambda each: (-each.score, each.start - each.end)):
            # Presidio ends addresses of pages inside words: "this.me" of "this.method".
            if not re.match(r"\w", text[result.end : result.end + 1]):
                yield Found(result.start, result.end, _LABELS[result.entity_type])
        yield from find_forms(text)
        if model is None:
            yield from find_names(text)

    return find


def _analyzer(presidio: Any, model: str | None) -> Any:
    from presidio_analyzer import nlp_engine, predefined_recognizers

    engine: Any
    if model is None:
        engine = nlp_engine.NoOpNlpEngine([{"lang_code": _LANGUAGE, "model_name": "none"}])
    else:
        engine = nlp_engine.SpacyNlpEngine([{"lang_code": _LANGUAGE, "model_name": model}])
    engine.load()
    names = ("CreditCard", "Crypto", "Email", "Iban", "Ip", "MacAddress", "Phone", "Url", "UsSsn")
    recognizers = [getattr(predefined_recognizers, f"{name}Recognizer")() for name in names]
    registry = presidio.RecognizerRegistry(recognizers)
    if model is not None:
        registry.add_nlp_recognizer(engine)
    return presidio.AnalyzerEngine(
        registry=registry, nlp_engine=engine, supported_languages=[_LANGUAGE]
    )


def _spacy_model() -> str | None:
    """The largest English model that is installed; nothing is ever downloaded."""
    names = (f"en_core_web_{size}" for size in ("trf", "lg", "md", "sm"))
    return next((name for name in names if importlib.util.find_spec(name)), None)


def _stay_offline() -> None:
    """Makes Presidio's check of domains use the list that it brings, instead of fetching one."""
    from tldextract import tldextract

    tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
