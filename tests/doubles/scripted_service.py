"""`python -m tests.doubles.scripted_service PAIR [options of duet-cloud serve]`: the real service, its
engine scripted; for what depends on the service alone.

Environment: `SCRIPT_TOKENS`, `SCRIPT_PAUSE_S` (between two tokens of a stream). Prints one line of
JSON with its ports, serves until stdin ends.
"""

import asyncio
import json
import os
import sys

from duet_cloud import logs
from duet_cloud.reasoner import PairReasoner
from duet_cloud.server import CloudServer
from duet_contract.pairs import find_pair
from tests.doubles.engine import ScriptedEngine
from tests.doubles.options import parse_options


async def serve(pair: str, arguments: list[str]) -> None:
    """Serves until stdin ends."""
    logs.configure("json")
    options = parse_options(["--port", "0", *arguments])
    server = CloudServer(options, PairReasoner.load(find_pair(pair)))
    script = [100 + index % 100 for index in range(int(os.environ["SCRIPT_TOKENS"]))]
    engine = ScriptedEngine(script, pause_s=float(os.environ["SCRIPT_PAUSE_S"]), max_sequences=64)
    await server.start()
    await server.open(engine)
    enrollment = server.security.enrollment_port if server.security else None
    print(json.dumps({"port": server.port, "enrollment_port": enrollment}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2:]))
