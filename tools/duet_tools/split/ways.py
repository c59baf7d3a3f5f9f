"""Links in a process of their own, so that relaying takes no time from the measuring process.

A line of JSON in, a line out: `open` a way to a target over a link, `count` its bytes, `close` it.
`duet_tools.split.wire` starts this process.
"""

import json
import sys
from contextlib import ExitStack
from typing import Any

from duet_tools.errors import BenchError
from duet_tools.link.emulator import LinkEmulator
from duet_tools.link.profiles import link_named
from duet_tools.link.relay import Relay


def main() -> None:
    """Serve until stdin ends."""
    ways: dict[int, tuple[ExitStack, LinkEmulator | Relay]] = {}
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = _do(command, ways)
        except (BenchError, OSError) as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)
    for stack, _ in ways.values():
        stack.close()


def _do(
    command: dict[str, Any], ways: dict[int, tuple[ExitStack, LinkEmulator | Relay]]
) -> dict[str, Any]:
    if command["do"] == "open":
        stack = ExitStack()
        target, link = command["target"], link_named(command["link"])
        way = (
            Relay(target)
            if link.name == "none"
            else LinkEmulator(target, link, seed=command["seed"])
        )
        stack.enter_context(way)
        number = command["number"]
        ways[number] = (stack, way)
        return {"address": way.address}
    stack, way = ways[command["number"]]
    if command["do"] == "close":
        del ways[command["number"]]
        stack.close()
        return {}
    return {"up": way.count.up, "down": way.count.down}


if __name__ == "__main__":
    main()
