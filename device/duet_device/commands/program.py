"""The commands of `duet-device`, and how their errors end."""

from duet_contract.commands import Program
from duet_device.errors import DeviceError, ExitCode

_HERE = "duet_device.commands"

PROGRAM = Program(
    name="duet-device",
    distribution="duet-device",
    help="Answer questions with a small local model and a large model's short signal.",
    commands={
        "ask": (f"{_HERE}.ask:ask", "Answer a question."),
        "chat": (f"{_HERE}.chat:chat", "Answer questions in turn, as a chat."),
        "serve": (f"{_HERE}.serve:serve", "Keep a warm server for ask, an API, a page."),
        "pull": (f"{_HERE}.pull:pull", "Fetch and install a pair's decoder."),
        "pairs": (f"{_HERE}.pairs:pairs", "List the installed pairs."),
        "rm": (f"{_HERE}.pairs:rm", "Delete an installed pair."),
        "enroll": (f"{_HERE}.enroll:enroll", "Give this device an identity with a server."),
        "trust": (f"{_HERE}.trust:trust", "Trust a publisher, or list trusted ones."),
        "logs": (f"{_HERE}.logs:logs", "Show stored answers; switch storing on."),
        "stats": (f"{_HERE}.stats:stats", "Show what the stored answers saved."),
        "calibrate": (f"{_HERE}.calibrate:calibrate", "Fit when the device trusts itself."),
        "config": (f"{_HERE}.config:config", "Show and change settings."),
        "doctor": (f"{_HERE}.doctor:doctor", "Find what keeps this device from answering."),
        "status": (f"{_HERE}.status:status", "Show server, pairs, identities, files."),
        "purge": (f"{_HERE}.status:purge", "Delete all that DUET stored here."),
        "forget": (f"{_HERE}.logs:forget", "Remove stored answers."),
    },
    epilog="Options can also be set by environment variables: DUET_OPTION for ask, serve and pull, "
    "DUET_COMMAND_OPTION for the others.",
    environment="DUET",
    errors=(DeviceError,),
    contract_code=ExitCode.MODEL,
    output_code=ExitCode.OUTPUT,
    memory_code=ExitCode.MODEL,
)
