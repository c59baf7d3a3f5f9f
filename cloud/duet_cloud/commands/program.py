"""The commands of `duet-cloud`, and how their errors end."""

from duet_cloud.errors import CloudError, Exit
from duet_contract.commands import Program

_HERE = "duet_cloud.commands"

PROGRAM = Program(
    name="duet-cloud",
    distribution="duet-cloud",
    help="Serve a pair's large model, build pairs, and control who may connect.",
    commands={
        "serve": (f"{_HERE}.serve:serve", "Serve a pair's reasoner over gRPC."),
        "check-config": (f"{_HERE}.check_config:check_config", "Check a configuration file."),
        "pairs": (f"{_HERE}.pairs:pairs", "Build, check and list pairs."),
        "admin": (f"{_HERE}.admin:admin", "Manage the certificate authority."),
    },
    errors=(CloudError,),
    contract_code=Exit.MODEL,
)
