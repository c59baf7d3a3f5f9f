"""Store answers in the history, and find signals that were received before.

It imports the history only if there is one. It asks for a passphrase before the question is sent,
so that a missing passphrase loses no answer.
"""

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING

from duet_device.errors import VaultError
from duet_device.home import HISTORY_NAME, home, is_there

if TYPE_CHECKING:
    from duet_contract.manifest import Manifest
    from duet_device.events import Result
    from duet_device.history.store import History, SignalKey, StoredSignal
    from duet_device.question import Question
    from duet_device.settings import Settings


class Recorder:
    """Stores answers, if the user switched that on.

    Args:
        manifest: of the pair that answers.
        settings: of the questions.
        wanted: False for questions that are not to be stored.
        note: given one line when an answer cannot be stored.
    """

    def __init__(
        self, manifest: "Manifest", settings: "Settings", wanted: bool, note: Callable[[str], None]
    ) -> None:
        self._manifest = manifest
        self._settings = settings
        self._note = note
        self._directory = home(create=False)
        try:
            self._enabled = wanted and self._exists() and self._prepare()
        except VaultError as error:
            self._enabled = False
            self._note(f"answer not stored: {error}")

    @property
    def enabled(self) -> bool:
        """Whether answers are stored."""
        return self._enabled

    def find(self, question: "Question") -> "StoredSignal | None":
        """Return the stored signal of the same question with the same settings, if there is one.

        Raises:
            VaultError: the history or its key is unavailable.
        """
        if not self._exists():
            return None
        unreadable: list[str] = []

        def report(id_: str, error: VaultError) -> None:
            unreadable.append(f"answer {id_} cannot be read: {error}")

        key = self._key(question)
        records = (record for _, record in self._history().records(report))
        signal = next((each.signal for each in records if each.signal and each.key == key), None)
        if unreadable:
            more = f"; {len(unreadable) - 1} more: duet-device logs" if unreadable[1:] else ""
            self._note(unreadable[0] + more)
        return signal

    def store(
        self, question: "Question", result: "Result", conversation: str | None = None
    ) -> str | None:
        """Store an answer, perhaps of a chat; return the record's id, None if it was not stored."""
        if not self._enabled:
            return None
        from duet_device.history.store import Record, StoredSignal
        from duet_device.vault.vault import Vault

        receipt = result.receipt
        signal = None
        # The start of a signal would be used again in place of a whole one.
        if receipt.source != "device" and receipt.outcome != "partial":
            signal = StoredSignal(
                ids=result.signal_ids,
                text=receipt.signal,
                tokens=receipt.tokens.signal,
                cut=receipt.finish.endswith("+budget"),
                enough=receipt.finish.endswith("+enough"),
            )
        record = Record(
            at=dt.datetime.now(dt.UTC),
            question=question.text,
            key=self._key(question),
            context=tuple(each.name for each in (*question.context, *question.notes)),
            signal=signal,
            receipt=receipt,
            conversation=conversation,
        )
        try:
            return self._history().add(Vault.open(self._directory, create=False), record)
        except VaultError as error:
            self._note(f"answer not stored: {error}")
            return None

    def _exists(self) -> bool:
        return is_there(self._directory / HISTORY_NAME)

    def _prepare(self) -> bool:
        """Return whether to store; ask for the passphrase if one is needed."""
        from duet_device.vault.vault import Vault, passphrase_wanted

        if not self._history().enabled:
            return False
        if passphrase_wanted(self._directory):
            Vault.open(self._directory, create=False)
        return True

    def _history(self) -> "History":
        from duet_device.history.store import History

        return History.of(self._directory)

    def _key(self, question: "Question") -> "SignalKey":
        from duet_device.history.store import SignalKey

        manifest, settings = self._manifest, self._settings
        return SignalKey(
            sent=question.for_pair(manifest).sent,
            pair=manifest.reference,
            vocabulary=manifest.decoder.vocabulary.sha256,
            budget=settings.budget,
            temperature=settings.temperature,
            seed=settings.seed,
        )
