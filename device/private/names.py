"""Names of people by the way they are written, where no language model is installed.

Western writing alone: a capitalised word is a name behind a title or a word that introduces one, or
next to another capitalised word where neither is an ordinary word. A lone capitalised word
elsewhere stays: most are no people, and a question without its subject cannot be answered.
"""

import re
from collections.abc import Iterable

from device.private.redaction import Found


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
# Words that begin sentences, and capitalised words that are no people.
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
_TITLED = re.compile(rf"\b(?:{'|'.join(_TITLES)})\.?\s+(?P<name>{_NAME})")
_INTRODUCED = re.compile(
    rf"(?:\b(?i:{'|'.join(_INTRODUCTIONS)})\b,?|\b(?i:{_PHRASES}))\s+(?P<name>{_NAME})"
)
_SEVERAL = re.compile(rf"(?<!\w)(?P<name>{_NAME})")
_APOSTROPHE = re.compile(r"['\u2019]")
_SPLIT = re.compile(r"\S+")


def find_names(text: str) -> Iterable[Found]:
    """Spans that are written like people's names."""
    for pattern in (_TITLED, _INTRODUCED):
        for match in pattern.finditer(text):
            yield from _people(text, match.start("name"), match.end("name"), fewest=1)
    for match in _SEVERAL.finditer(text):
        yield from _people(text, match.start("name"), match.end("name"), fewest=2)


def _people(text: str, start: int, end: int, *, fewest: int) -> Iterable[Found]:
    """The runs of at least `fewest` words of which none is ordinary."""
    run: list[tuple[int, int]] = []
    words = [(start + m.start(), start + m.end()) for m in _SPLIT.finditer(text, start, end)]
    words = [(first - start, last - start) for first, last in words]
    for first, last in [*words, (end, end)]:
        word = text[first:last]
        if word and not _is_ordinary(word) and not _is_shouted(word):
            run.append((first, last))
            continue
        capitalised = [each for each in run if text[each[0]].isupper()]
        if len(capitalised) >= fewest:
            yield Found(capitalised[0][0], capitalised[-1][1], "NAME")
        run = []
        if fewest == 1 and capitalised:
            return


def _is_ordinary(word: str) -> bool:
    stem = _APOSTROPHE.split(word)[0]  # of "I'm" and "What's"
    return not _ORDINARY.isdisjoint((word, stem)) or word.rstrip(".") in _TITLES


def _is_shouted(word: str) -> bool:
    """Abbreviations and shouting: NASA, USA, GDP."""
    letters = [char for char in word if char.isalpha()]
    return len(letters) > 1 and all(char.isupper() for char in letters)
