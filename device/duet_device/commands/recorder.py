"""What `ask` does with history: whether an answer is kept, and signals that are asked for again.

Nothing is imported for it unless there is a history. A passphrase is asked for before the question
is sent, so that an answer is not lost for the lack of one.
"""

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING

from duet_device.errors import VaultError
from duet_device.home import HISTORY_NAME, home, is_there

if TYPE_CHECKING:
    from duet_contract.manifest import Manifest
    from duet_device.answering import Outcome
    from duet_device.history.store import History, KeptSignal, SignalKey
    from duet_device.question import Question
    from duet_device.settings import Settings


class Keeper:
    """Keeps answers, if the user switched that on.

    Args:
        wanted: False for a question that is not to be kept.
        note: told, in one line, when an answer cannot be kept.
    """

    def __init__(self, wanted: bool, note: Callable[[str], None]) -> None:
        self._note = note
        self._directory = home(create=False)
        try:
            self._keeping = wanted and self._exists() and self._prepare()
        except VaultError as error:
            self._keeping = False
            self._note(f"not kept: {error}")

    def find(
        self, question: "Question", manifest: "Manifest", settings: "Settings"
    ) -> "KeptSignal | None":
        """The signal of the same question asked before with the same settings, if it was kept.

        Raises:
            VaultError: the history or its key cannot be had.
        """
        if not self._exists():
            return None
        from duet_device.vault.vault import Vault

        unreadable: list[str] = []

        def report(id_: str, error: VaultError) -> None:
            unreadable.append(f"answer {id_} cannot be read: {error}")

        vault = Vault.open(self._directory, create=False)
        key = _key(question, manifest, settings)
        signal = self._history().find_signal(vault, key, report)
        if unreadable:
            more = f"; {len(unreadable) - 1} more: duet-device logs" if unreadable[1:] else ""
            self._note(unreadable[0] + more)
        return signal

    def keep(
        self,
        question: "Question",
        manifest: "Manifest",
        settings: "Settings",
        outcome: "Outcome",
    ) -> str | None:
        """Keeps an answer; returns the record's id, None if it was not kept."""
        if not self._keeping:
            return None
        from duet_device.history.store import Kept, KeptSignal
        from duet_device.vault.vault import Vault

        receipt = outcome.receipt
        signal = None
        if receipt.source != "device":
            signal = KeptSignal(
                ids=outcome.signal_ids,
                text=receipt.signal,
                tokens=receipt.tokens.signal,
                cut=receipt.finish.endswith("+budget"),
            )
        kept = Kept(
            at=dt.datetime.now(dt.UTC),
            question=question.text,
            key=_key(question, manifest, settings),
            context=tuple(document.name for document in question.context),
            signal=signal,
            receipt=receipt,
        )
        try:
            return self._history().add(Vault.open(self._directory, create=False), kept)
        except VaultError as error:
            self._note(f"not kept: {error}")
            return None

    def _exists(self) -> bool:
        return is_there(self._directory / HISTORY_NAME)

    def _prepare(self) -> bool:
        """Whether to keep; asks for the passphrase where one is needed."""
        from duet_device.vault.vault import Vault, passphrase_wanted

        if not self._history().keeping:
            return False
        if passphrase_wanted(self._directory):
            Vault.open(self._directory, create=False)
        return True

    def _history(self) -> "History":
        from duet_device.history.store import History

        return History.of(self._directory)


def _key(question: "Question", manifest: "Manifest", settings: "Settings") -> "SignalKey":
    from duet_device.history.store import SignalKey

    return SignalKey(
        sent=question.sent,
        pair=manifest.reference,
        vocabulary=manifest.decoder.vocabulary.sha256,
        budget=settings.budget,
        temperature=settings.temperature,
        seed=settings.seed,
    )
