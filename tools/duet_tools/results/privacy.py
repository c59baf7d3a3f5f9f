"""Results of the capture: what left the device, by the way in which questions were asked."""

from duet_tools.files import SchemaFile, Strict


class Captured(Strict):
    """Questions of one source that were asked in one way."""

    way: str
    """How they were asked."""
    source: str
    """Where the questions are from."""
    questions: int
    """Questions asked, those with other numbers included."""
    with_numbers: int
    """Of them, those that state a number, by the judge."""
    with_relations: int
    """Of them, those that have a number word that leaves the device as a relation."""
    requests: int
    """Requests that were captured."""
    bytes: int
    """Bytes of their headers and messages, before compression of headers."""
    numbers_sent: int
    """Numbers that the judge found in requests."""
    twins: int
    """Pairs of questions that differ in their numbers alone."""
    twins_told_apart: int
    """Of them, those whose requests differ in another byte than request id, deadline or trace id."""
    twins_asked_differently: int
    """Of them, those with another count of requests; the same bytes otherwise."""


class Written(Strict):
    """What processes wrote while questions with numbers that occur nowhere else were asked."""

    what: str
    """The text that was searched."""
    bytes: int
    """Its size."""
    questions: int
    """Questions that were asked meanwhile."""
    numbers_found: int
    """Numbers of these questions in it, in any of their forms."""


class PrivacyResults(SchemaFile):
    """All that was captured, and with which code."""

    kind = "privacy capture"
    pair: str
    """The pair as `id@version`."""
    date: str
    """Day of the capture, UTC."""
    commit: str | None
    """Commit of the code; None if unknown."""
    versions: dict[str, str]
    """Versions of the packages that send and decode."""
    seed: int
    """Seed of the random questions."""
    captured: tuple[Captured, ...]
    """By way and source."""
    written: tuple[Written, ...]
    """Logs, metrics and traces."""

    @property
    def failed(self) -> bool:
        """Whether a number was found, or told two questions apart."""
        return any(row.numbers_sent or row.twins_told_apart for row in self.captured) or any(
            row.numbers_found for row in self.written
        )
