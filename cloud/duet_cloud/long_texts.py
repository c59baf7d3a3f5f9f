"""Tokenizes long texts in threads: a question of 262 KB takes most of a second.

The event loop serves all others meanwhile. One text of an identity is tokenized at a time, so that
a device with many long questions makes no other one wait for all of them.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from duet_cloud.status import exhausted

LONG = 2048
"""Characters from which on a text is long; a shorter one takes a few milliseconds at most."""
_THREADS = 2
_RETRY_AFTER_S = 1.0

_Result = TypeVar("_Result")


@dataclass
class _Texts:
    """The long texts of one identity."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while one of them is tokenized."""
    count: int = 0
    """Those that are tokenized or wait for that."""


class LongTexts:
    """The threads, and the identities that have a text in them. Use from one event loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, "duet-tokenizer")
        self._texts: dict[str, _Texts] = {}

    async def run(self, identity: str, most: int, work: Callable[[], _Result]) -> _Result:
        """Return what `work` gives, which tokenizes a text.

        Args:
            identity: whose text it is.
            most: texts of one identity that may be here.
            work: blocks; called in a thread.

        Raises:
            Refusal: RESOURCE_EXHAUSTED, as the identity has that many; or what `work` raises.
        """
        texts = self._texts.setdefault(identity, _Texts())
        if texts.count >= most:
            raise exhausted(
                f"{most} long questions of this device wait to be tokenized",
                _RETRY_AFTER_S,
                "queue",
            )
        texts.count += 1
        try:
            async with texts.turn:
                return await asyncio.wrap_future(self._threads.submit(work))
        finally:
            texts.count -= 1
            if not texts.count:
                del self._texts[identity]
