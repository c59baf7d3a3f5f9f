"""Links in the test's own process: starting another takes longer than most tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from duet_tools.link.profiles import LinkProfile
from duet_tools.link.relay import Relay
from duet_tools.split.link_pool import DeviceLink, LinkPool


class NearLinkPool(LinkPool):
    """Opens a relay for any link; `opened`: the links that were asked for, with their seeds."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[tuple[str, int]] = []
        self._relays: dict[int, Relay] = {}

    @contextmanager
    def open(self, target: str, link: LinkProfile, seed: int) -> Iterator[DeviceLink]:
        self.opened.append((link.name, seed))
        number = len(self.opened)
        with Relay(target) as relay:
            self._relays[number] = relay
            yield DeviceLink(self, number, relay.address)

    def tell(self, **command: object) -> dict[str, Any]:
        count = self._relays[int(str(command["number"]))].count
        return {"up": count.up, "down": count.down}
