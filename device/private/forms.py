"""Postal addresses, and numbers that are no quantities, by the way they are written.

What Presidio has no recogniser for. Addresses are those of a few countries; a number of nine digits
or more is taken for an account's or a customer's, since quantities of that size are rare.
"""

import re
from collections.abc import Iterable

from device.private.redaction import NUMBER, Found

_CAPITALISED = r"[^\W\d_a-zß-öø-ÿ][\w'\u2019\-]*"
_STREETS = (
    r"Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct|Square|Sq|Way|Terrace|"
    r"Place|Pl|Close|Crescent|Highway|Hwy|Parkway|Pkwy"
)
_PLACE = rf"{_CAPITALISED}(?:\s+{_CAPITALISED}){{0,2}}"
# Street and number as in English, in German and its neighbours, in Romance languages; post boxes.
_ADDRESSES = (
    rf"\b\d{{1,5}}\s?[A-Za-z]?\s+(?:{_CAPITALISED}\s+){{1,4}}(?:{_STREETS})\b\.?"
    rf"(?:,?\s+(?:Apt|Apartment|Suite|Unit|Flat)\.?\s+\w+)?"
    rf"(?:,\s*{_PLACE})?(?:,?\s*[A-Z]{{2}}\s+\d{{5}}(?:-\d{{4}})?)?",
    r"\b[^\W\d_a-z][\w\-]*(?:straße|strasse|str\.|weg|allee|platz|gasse|ring|ufer|damm|straat|laan|"
    rf"gatan|vej)\s+\d{{1,4}}\s?[a-z]?\b(?:,?\s+\d{{4,5}}\s+{_PLACE})?",
    rf"\b(?:\d{{1,4}},?\s+)?(?:[Rr]ue|[Aa]venue|[Cc]alle|[Vv]ia|[Pp]iazza|[Rr]ua)\s+"
    rf"(?:(?:de|du|des|la|le|del|della|di|da|do)\s+){{0,2}}{_PLACE}(?:,?\s+\d{{1,4}}\b)?"
    rf"(?:,?\s+\d{{4,5}}\s+{_PLACE})?",
    r"\b(?i:p\.?\s?o\.?\s?box|postfach)\s+\d+\b",
    # Postcodes: United Kingdom, Canada.
    r"\b[A-Z]{1,2}\d[A-Z\d]?\s\d[A-Z]{2}\b|\b[A-Z]\d[A-Z]\s\d[A-Z]\d\b",
)
_IDENTIFIERS = (
    # Digits as only account and customer numbers have them; quantities are shorter or grouped.
    r"(?<![\w.,])\d{9,}(?![\w]|[.,]\d)",
    # Letters and digits in one: passports, plates, order numbers.
    r"(?<!\w)(?<![A-Z\d]-)(?=[A-Z\d\-]*[A-Z])(?=(?:[A-Z\-]*\d){4})[A-Z\d]+(?:-[A-Z\d]+)*\b",
    r"\b[\da-fA-F]{8}(?:-[\da-fA-F]{4}){3}-[\da-fA-F]{12}\b",
)
_FORMS = [
    *((re.compile(pattern), "ADDRESS") for pattern in _ADDRESSES),
    *((re.compile(pattern), "ID") for pattern in _IDENTIFIERS),
]
# Wherever it stands, behind letters, too: EUR500, Q3, 1e6.
_NUMBER = re.compile(r"\d+(?:[.,' ]\d+)*")


def find_forms(text: str) -> Iterable[Found]:
    """Addresses and identifying numbers."""
    for pattern, label in _FORMS:
        for match in pattern.finditer(text):
            yield Found(match.start(), match.end(), label)


def find_numbers(text: str) -> Iterable[Found]:
    """Every number written in digits; the reasoner cannot compute with any of them."""
    for match in _NUMBER.finditer(text):
        yield Found(match.start(), match.end(), NUMBER)
