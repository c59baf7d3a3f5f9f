"""Links in the test's own process: starting another takes longer than most tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from duet_tools.link.profiles import LinkProfile
from duet_tools.link.relay import Relay
from duet_tools.split.link_pool import DeviceLink, LinkPool


class NearLinkPool(LinkPool):
    """Opens a relay for any link."""

    def __init__(self) -> None:
        super().__init__()
        self._relays: list[Relay] = []

    @contextmanager
    def open(self, target: str, link: LinkProfile, seed: int) -> Iterator[DeviceLink]:
        with Relay(target) as relay:
            self._relays.append(relay)
            yield DeviceLink(self, self._relays.index(relay), relay.address)

    def tell(self, **command: object) -> dict[str, Any]:
        count = self._relays[int(str(command["number"]))].count
        return {"up": count.up, "down": count.down}
