"""Names of people by the way they are written, if no language model is installed.

Western writing alone: a capitalised word is a name behind a title, an initial or a word that
introduces one, or next to another capitalised word where neither is an ordinary word. Words in
capitals, and words with a comma between, are a name if one of them is a known given name. A lone
capitalised word elsewhere stays: most do not name people, and a question without its subject cannot
be answered.
"""

import re
from collections.abc import Iterable, Iterator

from duet_device.privacy.found import NAME, Found
from duet_device.privacy.given_names import GIVEN_NAMES


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TITLES = _words(
    """
    Mr Mrs Ms Miss Mx Dr Prof Professor Sir Madam Herr Frau Hr Fr Monsieur Madame Mme Mlle Señor
    Señora Sr Sra Signor Signora Judge Officer Captain Nurse Father Sister Uncle Aunt
    """
)
# What introduces a name: "my colleague Anna", "called Ben", "Dear Carla".
_INTRODUCTIONS = _words(
    """
    named called dear hi hello regards sincerely greetings mister colleague friend neighbour
    neighbor boss manager employee patient client customer tenant landlord student teacher doctor
    lawyer wife husband partner brother sister mother father son daughter uncle aunt cousin nephew
    niece girlfriend boyfriend fiancé fiancée signed
    """
)
_PHRASES = r"(?:my|his|her|their|whose)\s+name\s+is|(?:I\s+am|I['\u2019]m|this\s+is)(?=\s+[A-Z])"
# Words that begin sentences, and capitalised words that do not name people.
_ORDINARY = _words(
    """
    A About After All Also Although Am An And Another Any Are As Ask At Be Because Before Both But
    By Calculate Can Compare Compute Consider Could Count Create Define Describe Did Do Does Draft
    During Each Either Email Estimate Every Explain Find First For From Give Given Had Has Have He
    Hello Help Her Here Hi His How However I If Imagine In Into Is It Its Last Let List Make Many
    May Me Might Most Much Must My Name Need Neither Next No Not Now Of On One Or Our Please Prove
    Put Question Reply Rewrite Say Second Send Shall She Should Show Since Sketch So Solve Some
    State Subtract Suggest Suppose Summarise Summarize Take Tell Than Thank Thanks That The Their
    Them Then There These They This Those Three To Today Tomorrow Translate Two Under Until Up Use
    Was We Were What When Where Which While Who Whom Whose Why Will With Without Would Write Yes
    Yesterday Yet You Your Ich Wir
    Add Book Call Check Cite Congratulate Contact Forward Get Go Inform Introduce Invite Keep Look
    Mail Meet Mention Message Notify Open Order Pay Phone Post Print Quote Read Remind Remove Review
    Ring Schedule Search Share Sign Start Stop Text Try Turn Update Visit
    Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April June July
    August September October November December Christmas Easter
    English German French Spanish Italian Chinese Japanese Russian Latin American British European
    North South East West Northern Southern Eastern Western New Great United Republic Kingdom States
    University Institute School College Hospital Street Road Avenue Lane Bank Company Corporation
    Court Department Ministry Office Park River Lake Mount Mountain Ocean Sea Island World War Act
    Law Theorem Lemma Equation Python Java Linux Windows Mac Google Microsoft Apple Amazon
    """
)
_WORD = r"[^\W\d_a-zß-öø-ÿ][\w]*(?:['\u2019\-][^\W\d_]\w*)*"
_PARTICLE = (
    r"(?:de|del|della|der|den|di|da|dos|du|la|le|van|von|zu|zur|bin|ibn|al|el|ter|ten|af|av)"
)
_INITIAL = r"[^\W\d_a-z]\."
_NAME = rf"{_WORD}(?:\s+(?:(?:{_PARTICLE}\s+){{1,2}}{_WORD}|{_INITIAL}|{_WORD}))*"
_SHOUTED_TITLES = _words("MR MRS MS MISS DR PROF HERR FRAU")
_TITLED = re.compile(
    rf"\b(?:{'|'.join([*_TITLES, *_SHOUTED_TITLES])})\.?\s+(?P<name>(?:{_INITIAL}\s?)*{_NAME})"
)
_INTRODUCED = re.compile(
    rf"(?:\b(?i:{'|'.join(_INTRODUCTIONS)})\b,?|\b(?i:{_PHRASES}))\s+(?P<name>{_NAME})"
)
_SEVERAL = re.compile(rf"(?<!\w)(?P<name>{_NAME})")
_SHOUTED_WORD = r"[^\W\d_a-zß-öø-ÿ]{2,}(?:['\-][^\W\d_a-zß-öø-ÿ]{2,})*(?!\w)"
_SHOUTED = re.compile(rf"(?<![\w'\-]){_SHOUTED_WORD}(?:\s(?:{_SHOUTED_WORD}|{_INITIAL}))+")
_INITIALS = re.compile(
    rf"(?<![\w.'\-])(?P<initials>(?:{_INITIAL}[ \-]?){{1,4}})\s?"
    rf"(?:{_PARTICLE}\s){{0,2}}(?P<last>{_WORD})"
)
_LAST_FIRST = re.compile(
    rf"(?<![\w'\-])(?P<last>{_WORD}),\s"
    rf"(?P<first>(?:{_INITIAL}\s?){{1,3}}(?!\w)|{_WORD}(?:\s(?:{_INITIAL}|{_WORD}))?)"
)
# Initials of something else: U. S. Army, P. O. Box.
_NO_INITIALS = _words("AD AI AM BC DC EG EU ID IE IT PC PM PO TV UK UN US USA VS")
# Behind other words, a single letter with a full stop ends a sentence: "vitamin C. Oranges".
_BEFORE_INITIAL = _words(
    """
    and are ask asks at because before by call can did does for from had has if is mit of on or said
    says tell that than then to und von was were when where which who whom whose why will with
    """
)
_POSSESSIVE = re.compile(r"['\u2019]s\Z")
_APOSTROPHE = re.compile(r"['\u2019]")
_SPLIT = re.compile(r"\S+")


def find_names(text: str) -> Iterable[Found]:
    """Spans that are written like people's names."""
    for found in _all_names(text):
        possessive = _POSSESSIVE.search(text, found.start, found.end)
        yield Found(found.start, possessive.start() if possessive else found.end, NAME)


def is_ordinary(word: str) -> bool:
    """Return whether a capitalised word begins sentences, is a title, or does not name a person."""
    stem = _APOSTROPHE.split(word)[0]  # of "I'm" and "What's"
    return not _ORDINARY.isdisjoint((word, stem)) or word.rstrip(".") in _TITLES


def _all_names(text: str) -> Iterator[Found]:
    for match in _TITLED.finditer(text):
        yield from _people(text, match.start("name"), match.end("name"), fewest=1, shouted=True)
    for match in _INTRODUCED.finditer(text):
        yield from _people(text, match.start("name"), match.end("name"), fewest=1)
    for match in _SEVERAL.finditer(text):
        yield from _people(text, match.start("name"), match.end("name"), fewest=2)
    for match in _SHOUTED.finditer(text):
        yield from _shouted(text, match.start(), match.end())
    for match in _INITIALS.finditer(text):
        before = text[max(0, match.start() - 30) : match.start()]
        ordinary = is_ordinary(_capitalised(match["last"]))
        if not ordinary and _are_initials(match["initials"], before):
            yield Found(match.start(), match.end(), NAME)
    for match in _LAST_FIRST.finditer(text):
        last, first = match["last"], match["first"].split()[0]
        named = first[1] == "." if len(first) > 1 else False
        known = first.casefold() in GIVEN_NAMES and last.casefold() not in GIVEN_NAMES
        # Adverbs begin sentences: "Sadly, Otto left".
        if (named or known) and not is_ordinary(_capitalised(last)) and not last.endswith("ly"):
            yield Found(match.start(), match.end(), NAME)


def _people(
    text: str, start: int, end: int, *, fewest: int, shouted: bool = False
) -> Iterator[Found]:
    """The runs of at least `fewest` words of which none is ordinary, or, mostly, in capitals."""
    run: list[tuple[int, int]] = []
    words = [(m.start(), m.end()) for m in _SPLIT.finditer(text, start, end)]
    for first, last in [*words, (end, end)]:
        word = text[first:last]
        known = word.casefold() in GIVEN_NAMES
        if word and not is_ordinary(word) and (shouted or known or not _is_shouted(word)):
            run.append((first, last))
            continue
        capitalised = _without_abbreviation(text, run)
        if len(capitalised) >= fewest:
            yield Found(capitalised[0][0], capitalised[-1][1], NAME)
        run = []
        if fewest == 1 and capitalised:
            return


def _without_abbreviation(text: str, run: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the capitalised words of a run, without `U. S.` and the like in front."""
    words = [each for each in run if text[each[0]].isupper()]
    initials = 0
    while initials < len(words) and words[initials][1] - words[initials][0] == 2:
        initials += 1
    if "".join(text[first] for first, _ in words[:initials]) in _NO_INITIALS:
        return words[initials:]
    return words


def _shouted(text: str, start: int, end: int) -> Iterator[Found]:
    """Find a given name in capitals, with the name after it or else the name before it."""
    words = [(m.start(), m.end()) for m in _SPLIT.finditer(text, start, end)]
    names = [not is_ordinary(_capitalised(text[first:last])) for first, last in words]
    for at, (first, last) in enumerate(words):
        if text[first:last].casefold() not in GIVEN_NAMES:
            continue
        to = at
        while to + 1 < len(words) and to < at + 3 and names[to + 1]:
            to += 1
        if to > at:
            yield Found(first, words[to][1], NAME)
        elif at > 0 and names[at - 1]:
            yield Found(words[at - 1][0], last, NAME)


def _are_initials(initials: str, before: str) -> bool:
    letters = "".join(filter(str.isalpha, initials))
    if letters in _NO_INITIALS:
        return False
    words = before.split()
    if len(letters) > 1 or not words or before.endswith("\n"):
        return True
    return words[-1].casefold() in _BEFORE_INITIAL or not words[-1][-1].isalnum()


def _capitalised(word: str) -> str:
    return word.capitalize() if _is_shouted(word) else word


def _is_shouted(word: str) -> bool:
    """Return whether a word of two or more letters is all capitals: NASA, USA, GDP."""
    letters = [char for char in word if char.isalpha()]
    return len(letters) > 1 and all(char.isupper() for char in letters)
