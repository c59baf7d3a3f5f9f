"""E-mail addresses, URLs, host names, user names and home directories.

Every expression is linear in the text: it starts where a run of its characters starts, and gives
nothing of a run back.
"""

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable

from duet_device.privacy.found import Found


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_INTERNAL = _words(
    """
    arpa corp example home internal intranet invalid lan local localdomain localhost onion private
    test
    """
)
# Known without the list of public suffixes, and never the name of a function.
_COMMON = _words("biz com de edu eu fr gov info it net nl org uk us")
# English words that are country codes, too: "I like it.So do you" is two sentences.
_WORDS_AFTER_A_STOP = _words("Am As At Be By Do He In Is It Me My No So To Us")

_TAIL = r"[^\s<>\"`{}|\\^]"
_URL = re.compile(rf"(?<![\w+.\-])[\w+.\-]++://{_TAIL}++")
_EMAIL = re.compile(
    r"(?<![\w.%+\-'&=!#$*^~])[\w.%+\-'&=!#$*^~]++@[\w\-]++(?:\.[\w\-]++)*+|"
    # Written out, so that no machine reads it: otto (at) example (dot) org.
    r"(?<![\w.+\-])[\w.+\-]++\s?[(\[{]\s?(?i:at)\s?[)\]}]\s?"
    r"[\w\-]++(?:\s?(?:\.|[(\[{]\s?(?i:dot)\s?[)\]}])\s?[\w\-]++)+|"
    r"(?<![\w.+\-])[\w.+\-]++\s(?i:at)\s[\w\-]++(?:\s(?i:dot)\s[\w\-]++)+"
)
_HOST = re.compile(
    rf"(?<![\w.\-@])[\w\-]++(?:\.[\w\-]++)++(?P<tail>(?::\d{{1,5}}+)?(?:[/?#]{_TAIL}*+)?)|"
    rf"(?<![\w.\-@])localhost(?::\d{{1,5}}+|(?=/))(?:[/?#]{_TAIL}*+)?"
)
_DECORATED = r"[ \t]*\n\s*(?:@|def |class |async |public |private |protected |static |fun )"
_HANDLE = re.compile(rf"(?<![\w@/.])@[^\W\d][\w.]{{1,30}}+(?![(/@\w])(?!{_DECORATED})")
_PATH = re.compile(
    r"(?<![\w./\\])/(?:home|Users)/[^\s\"'<>|;:,()]++|"
    r"(?<!\w)[A-Za-z]:\\Users\\[^\s\"'<>|;:,()]++|"
    r"(?<![\w/])~[a-z_][\w\-]*+/[^\s\"'<>|;:,()]*+|"
    r"(?<![^\s\"'(])\\\\[\w.\-]{2,}+\\[^\s\"'<>|;,()]++"
)
_BRACKETS = {")": "(", "]": "["}


def find_network(text: str) -> Iterable[Found]:
    """E-mail addresses, URLs with all that is in them, hosts, handles and home directories."""
    for match in _URL.finditer(text):
        yield Found(match.start(), _sentence_left_out(text, match.start(), match.end()), "URL")
    for match in _EMAIL.finditer(text):
        start = match.start()
        while not text[start].isalnum() and text[start] not in "_@":
            start += 1
        if text[start] != "@":
            yield Found(start, match.start() + len(match[0].rstrip("-")), "EMAIL")
    for match in _HOST.finditer(text):
        if _is_host(match, text[match.end() : match.end() + 1]):
            yield Found(match.start(), _sentence_left_out(text, match.start(), match.end()), "URL")
    for match in _HANDLE.finditer(text):
        yield Found(match.start(), match.start() + len(match[0].rstrip(".")), "HANDLE")
    for match in _PATH.finditer(text):
        yield Found(match.start(), _sentence_left_out(text, match.start(), match.end()), "PATH")


def _sentence_left_out(text: str, start: int, end: int) -> int:
    """Return the end of an address without the marks of the sentence around it."""
    counts = Counter(text[start:end])
    while end > start:
        last = text[end - 1]
        if last in _BRACKETS:
            if counts[last] <= counts[_BRACKETS[last]]:
                break
        elif last not in ".,;:!?'\"*_~»":
            break
        counts[last] -= 1
        end -= 1
    return end


def _is_host(match: re.Match[str], following: str) -> bool:
    tail = match["tail"]
    if tail is None:  # localhost
        return True
    host = match[0][: len(match[0]) - len(tail)].strip("-")
    labels = host.split(".")
    last = labels[-1]
    if len(last) < 2 or not (last.isalpha() or last.lower().startswith("xn--")):
        return False
    if last in _WORDS_AFTER_A_STOP and labels[-2].islower() and not tail:
        return False
    if last.lower() in _COMMON or labels[0].lower() == "www":
        return True
    # numpy.dot(a), Path.home()
    if following == "(" and not tail:
        return False
    return last.lower() in _INTERNAL or _public_suffix()(host) != ""


@functools.cache
def _public_suffix() -> Callable[[str], str]:
    """Return a function that gives a host's public suffix by `tldextract`'s list; offline."""
    import tldextract

    extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    return lambda host: extract(host).suffix
