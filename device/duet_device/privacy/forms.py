"""Postal addresses, dates of birth and identifying numbers, by the way they are written.

Addresses are those of a few countries; a number of nine digits or more is taken for an account's or
a customer's, since quantities of that size are rare.
"""

import re
from collections.abc import Iterable

from duet_device.privacy.found import NUMBER, Found

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
    r"(?<![\w\-])[^\W\d_a-z][\w\-]*(?:straße|strasse|str\.|weg|allee|platz|gasse|ring|ufer|damm|straat|laan|"
    rf"gatan|vej)\s+\d{{1,4}}\s?[a-z]?\b(?:,?\s+\d{{4,5}}\s+{_PLACE})?",
    rf"\b(?:\d{{1,4}},?\s+)?(?:[Rr]ue|[Aa]venue|[Cc]alle|[Vv]ia|[Pp]iazza|[Rr]ua)\s+"
    rf"(?:(?:de|du|des|la|le|del|della|di|da|do)\s+){{0,2}}{_PLACE}(?:,?\s+\d{{1,4}}\b)?"
    rf"(?:,?\s+\d{{4,5}}\s+{_PLACE})?",
    r"\b(?i:p\.?\s?o\.?\s?box|postfach)\s+\d+\b",
    # Streets that are named by where they are: Unter den Linden 77.
    rf"\b(?:Unter|An|Auf|Hinter|Vor|Bei)\s+de[rmn]\s+{_CAPITALISED}\s+\d{{1,4}}\s?[a-z]?\b"
    rf"(?:,?\s+\d{{4,5}}\s+{_PLACE})?",
    rf"\b(?:Am|Im|Zum|Zur)\s+{_CAPITALISED}\s+\d{{1,4}}\s?[a-z]?,?\s+\d{{4,5}}\s+{_PLACE}",
    r"\b\d{1,5}\s(?!(?:a|and|in|of|on|per|the)\s)[a-z]+\s(?:street|avenue|boulevard)\b",
    # Postcodes: named as such, behind a place and a state, of the United Kingdom, of Canada.
    r"\b(?i:zip(?:\s?code)?|post(?:al\s?|\s?)code|plz|postleitzahl)\b[:\s]{0,3}(?:is\s)?"
    r"(?P<value>\d{4,6}(?:-\d{4})?)\b",
    r"\b(?:D|A|CH)-\d{4,5}\b",
    rf"(?<![\w'\-])(?:(?:At|From|In|Near|To)\s+)?+"
    rf"(?P<value>{_PLACE},\s[A-Z]{{2}}\s\d{{5}}(?:-\d{{4}})?)\b",
    r"\b[A-Z]{1,2}\d[A-Z\d]?\s\d[A-Z]{2}\b|\b[A-Z]\d[A-Z]\s\d[A-Z]\d\b",
)
_MONTH = r"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mär|mai|okt|dez)[^\W\d_]*\.?"
_DATE = (
    rf"(?:\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}|\d{{1,2}}[-/.]\s?\d{{1,2}}[-/.]\s?\d{{2,4}}|"
    rf"\d{{1,2}}(?:st|nd|rd|th|\.)?\s(?:of\s)?{_MONTH},?\s\d{{4}}|"
    rf"{_MONTH}\s\d{{1,2}}(?:st|nd|rd|th)?,?\s\d{{4}})"
)
# Other dates stay: the reasoner computes with them.
_BIRTHS = (
    r"\b(?i:born(?:\son)?|(?:date\sof\s)?birth(?:\s?date|day)?(?:\s(?:is|was))?(?:\son)?|d\.?o\.?b\.?|"
    rf"geboren(?:\sam)?|geb\.|née?\sle|nacid[oa]\sel)[:,\s]{{0,3}}(?P<value>{_DATE})\b",
)
_CODES = (
    # Digits as only account and customer numbers have them; quantities are shorter or grouped.
    r"(?<![\w.,])\d{9,}+(?![\w]|[.,]\d)",
    # Letters and digits in one: passports, order numbers. It looks ahead no further than a code
    # goes, or a line of hyphens would be read again from each of them.
    r"(?<!\w)(?<![A-Z\d]-)(?=\d*+(?:-\d++)*+-?[A-Z])[A-Z\d]++(?:-[A-Z\d]++)*+(?!\w)",
)
_IDENTIFIERS = (
    # German number plates.
    r"(?<!\w)[A-ZÄÖÜ]{1,3}-(?:[A-Z]{2}\s?\d{3,4}|[A-Z]\s?\d{4})[EH]?(?!\w)",
    r"\b[\da-fA-F]{8}(?:-[\da-fA-F]{4}){3}-[\da-fA-F]{12}\b",
)
_FORMS = [
    *((re.compile(pattern), "ADDRESS") for pattern in _ADDRESSES),
    *((re.compile(pattern), "BIRTH") for pattern in _BIRTHS),
    *((re.compile(pattern), "ID") for pattern in _IDENTIFIERS),
]
_CODE = re.compile("|".join(_CODES))
# Of a code.
_FEWEST_DIGITS = 4
# Chemical formulas in Hill's order, moduli and limits that textbooks compute with.
_QUANTITY = re.compile(r"C\d{0,2}H\d{1,3}(?:[BFIKNOPS]\d{0,2})*|[1-9]0{6,}\d{0,2}|998244353")
_LIMITS = frozenset(str(2**power + less) for power in (31, 32, 53, 63, 64) for less in (-1, 0, 1))
_COUNTED = re.compile(
    r"(?i)\b(?:account|customer|client|number|no|nr|id|konto|kunde)\W{0,3}(?:is\s)?\Z"
)
# At any position, also after letters: EUR500, Q3, 1e6.
_NUMBER = re.compile(r"\d+(?:[.,' ]\d+)*")


def find_forms(text: str) -> Iterable[Found]:
    """Addresses, dates of birth and identifying numbers."""
    for pattern, label in _FORMS:
        for match in pattern.finditer(text):
            group = "value" if match.groupdict().get("value") else 0
            yield Found(match.start(group), match.end(group), label)
    for match in _CODE.finditer(text):
        value, before = match[0], text[max(0, match.start() - 20) : match.start()]
        if sum(map(str.isdigit, value)) < _FEWEST_DIGITS:
            continue
        if not is_known_quantity(value) or _COUNTED.search(before):
            yield Found(match.start(), match.end(), "ID")


def is_known_quantity(value: str) -> bool:
    """Return whether a long number, or letters with numbers, is a common quantity or formula."""
    return value in _LIMITS or _QUANTITY.fullmatch(value) is not None


def find_numbers(text: str) -> Iterable[Found]:
    """Return every number written in digits; the reasoner cannot compute with any of them."""
    for match in _NUMBER.finditer(text):
        yield Found(match.start(), match.end(), NUMBER)
