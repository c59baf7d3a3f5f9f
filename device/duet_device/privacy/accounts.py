"""Numbers that belong to one person or machine: cards, accounts, telephones, IP addresses.

Check digits are verified. Every expression is linear in the text. `phonenumbers` decides about
telephone numbers; it only gets the digits and the text around them.
"""

import functools
import ipaddress
import re
from collections.abc import Iterable, Iterator
from typing import Any

from duet_device.errors import UsageProblem
from duet_device.privacy.forms import is_known_quantity
from duet_device.privacy.found import Found

_BETWEEN = r"[\s.\-]{0,2}"
_CARD = re.compile(
    rf"(?<![\d])(?<!\d[.,])(?:[1-6]\d{{3}}{_BETWEEN}\d{{4}}{_BETWEEN}\d{{4}}{_BETWEEN}\d{{1,4}}"
    rf"(?:{_BETWEEN}\d{{1,3}})?|3\d{{3}}{_BETWEEN}\d{{6}}{_BETWEEN}\d{{4,5}}|[1-6]\d{{12,18}})"
    r"(?!\d|[.,]\d)"
)
_YEARS = re.compile(r"(?:(?:19|20)\d\d\D+){3}(?:19|20)\d\d")
_IBAN = re.compile(r"(?<![^\W_])(?P<country>[A-Za-z]{2})\d\d(?=[\s.\-]{0,2}[A-Za-z0-9])")
_AFTER_GROUP = re.compile(r"[\s.\-]{0,2}(?P<char>[A-Za-z0-9])")
# Lengths by country, of the IBAN registry.
_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FK FO FI GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}
_IP4 = re.compile(
    r"(?<![\w.])(?<!\d,)(?P<ip>\d{1,3}(?:\.\d{1,3}){3})(?:/\d{1,2}|:\d{1,5})?+(?![\w]|\.\d)"
)
_VERSION = re.compile(
    r"(?i)(?:\b(?:v|ver|version|release|build|firmware|kernel|python|node|java|section|chapter|"
    r"clause|paragraph|article|step|exercise|figure|table)\.?\s{0,2}|§\s?)\Z"
)
_IP6 = re.compile(
    r"(?<![\w:.])[0-9A-Fa-f:]{2,39}+(?:\.\d{1,3}){0,3}+(?:%\w+)?(?:/\d{1,3})?(?![\w:])"
)
_MAC = re.compile(
    r"(?<![\w:\-])[\da-fA-F]{2}(?P<by>[:\-])(?:[\da-fA-F]{2}(?P=by)){4}[\da-fA-F]{2}(?![\w:\-])|"
    r"(?<![\w.])[\da-fA-F]{4}\.[\da-fA-F]{4}\.[\da-fA-F]{4}(?![\w.])"
)
_SSN = re.compile(r"(?<!\w)(?<!\d[.,\- ])\d{3}(?P<by>[\- .])\d{2}(?P=by)\d{4}(?!\w|[\- .,]\d)")
_WALLET = re.compile(
    r"(?<!\w)(?:bc1[ac-hj-np-z02-9]{11,87}|[13](?=\w*[A-Za-z])[1-9A-HJ-NP-Za-km-z]{25,34}|"
    r"0x[\da-fA-F]{40})(?!\w)"
)
_PHONE_RUN = re.compile(r"[\d+(\[][\d\s().\-/+\[\]]*+")
_CALLED = re.compile(
    r"(?i)\b(?:phone|tel|telephone|call|ring|dial|fax|mobile|cell|text|telefon|handy)\b"
    r"[^\d\n]{0,20}(?P<number>\d[\d\- /().]{4,24}\d)(?!\w|[.,]\d)"
)
# Countries whose numbers are found without the country's code.
_REGIONS = ("US", "GB", "DE", "FR", "IL", "IN", "CA", "BR")
_FEWEST_DIGITS = 6
_IN_NUMBER = re.compile(r"\d[.,]?\Z")
# phonenumbers is quadratic in the run of digits that it gets; a number with blanks is shorter.
_WINDOW, _OVERLAP, _AROUND = 64, 32, 8


def find_accounts(text: str) -> Iterable[Found]:
    """IBANs, cards, IP and MAC addresses, social security numbers and wallets."""
    for start, end in _ibans(text):
        yield Found(start, end, "IBAN")
    for match in _CARD.finditer(text):
        if _luhn(re.sub(r"\D", "", match[0])) and not _YEARS.fullmatch(match[0]):
            yield Found(match.start(), match.end(), "CARD")
    for match in _IP4.finditer(text):
        before = text[max(0, match.start() - 20) : match.start()]
        if _is_ip(match["ip"]) and not _VERSION.search(before):
            yield Found(match.start(), match.end(), "IP")
    for match in _IP6.finditer(text):
        address = match[0].rstrip(":") if not match[0].endswith("::") else match[0]
        # A slice such as [1::2] is an address, too, and so is a::b.
        if re.search(r"[\da-fA-F]{3}", address) and ":" in address and _is_ip(address):
            yield Found(match.start(), match.start() + len(address), "IP")
    for match in _MAC.finditer(text):
        if match["by"] != "-" or re.search("[a-fA-F]", match[0]):
            yield Found(match.start(), match.end(), "MAC")
    for match in _SSN.finditer(text):
        area, group, serial = (part for part in re.split(r"\D", match[0]))
        if area not in ("000", "666") and group != "00" and serial != "0000":
            yield Found(match.start(), match.end(), "SSN")
    for match in _WALLET.finditer(text):
        yield Found(match.start(), match.end(), "WALLET")


def find_phones(text: str) -> Iterable[Found]:
    """Find telephone numbers: valid numbers of a country, and numbers that the text says to call.

    Raises:
        UsageProblem: `phonenumbers` is not installed.
    """
    for match in _CALLED.finditer(text):
        yield Found(match.start("number"), match.end("number"), "PHONE")
    # Repeated text is looked at once.
    known: dict[str, list[tuple[int, int]]] = {}
    for run in _PHONE_RUN.finditer(text):
        if sum(map(str.isdigit, run[0])) < _FEWEST_DIGITS:
            continue
        for start in range(run.start(), run.end(), _WINDOW - _OVERLAP):
            first = max(0, start - _AROUND)
            window = text[first : min(start + _WINDOW, run.end()) + _AROUND]
            if window not in known:
                known[window] = list(_phones(window))
            for begin, end in known[window]:
                # Neither the end of a longer number nor decimals.
                before = text[max(0, first + begin - 2) : first + begin]
                after = text[first + end : first + end + 1]
                if not (_IN_NUMBER.search(before) or after.isdigit()):
                    yield Found(first + begin, first + end, "PHONE")


def _phones(window: str) -> Iterator[tuple[int, int]]:
    # Single digits are a sequence.
    if not re.search(r"\d\d", window):
        return
    phonenumbers = _phonenumbers()
    for region in _REGIONS:
        for match in phonenumbers.PhoneNumberMatcher(window, region):
            if not is_known_quantity(match.raw_string):
                yield match.start, match.end


@functools.cache
def _phonenumbers() -> Any:
    try:
        import phonenumbers
    except ImportError as error:
        raise UsageProblem(
            "--redact needs phonenumbers: pip install phonenumbers tldextract"
        ) from error
    return phonenumbers


def _luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(map(int, reversed(digits))):
        total += digit if place % 2 == 0 else digit * 2 - 9 * (digit > 4)
    return total % 10 == 0


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    for match in _IBAN.finditer(text):
        length = _IBAN_LENGTHS.get(match["country"].upper())
        if length is None:
            continue
        chars, end = match[0], match.end()
        while len(chars) < length and (following := _AFTER_GROUP.match(text, end)):
            chars += following["char"]
            end = following.end()
        if len(chars) < length or re.match(r"[^\W_]", text[end : end + 1]):
            continue
        # An account's number without letters is one even where a digit is mistyped.
        if chars[2:].isdigit() or _mod97(chars) == 1:
            yield match.start(), end


def _mod97(iban: str) -> int:
    return int("".join(str(int(char, 36)) for char in iban[4:] + iban[:4])) % 97


def _is_ip(address: str) -> bool:
    try:
        ipaddress.ip_interface(address)
    except ValueError:
        return False
    return True
