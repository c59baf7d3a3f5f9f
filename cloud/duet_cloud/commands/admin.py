"""`duet-cloud admin`: the certificate authority, its devices, and whose pairs they load."""

from typing import Any

import click

from duet_cloud.errors import CredentialsError
from duet_contract.commands import LazyGroup
from duet_contract.console import OutputClosed, OutputLost
from duet_contract.errors import ContractError

_HERE = "duet_cloud.admin"
_EXIT_CODES = """\b
Exit codes:
    0  done
    1  failed
    2  usage
    4  authority, key, registry or publisher's key missing or modified; no such
       device or publisher, or one of that name exists
    5  the database cannot be used
"""


class _AdminGroup(LazyGroup):
    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; unusable files are reported as credentials, not as models."""
        try:
            return super().invoke(ctx)
        except (OutputClosed, OutputLost):
            raise
        except ContractError as error:
            raise CredentialsError(str(error)) from error


admin = _AdminGroup(
    name="admin",
    help="Manage the certificate authority: who may connect, and what they may do.",
    epilog=_EXIT_CODES,
    lazy={
        "init": (f"{_HERE}.authority:init", "Create the certificate authority."),
        "show": (f"{_HERE}.authority:show", "Show the authority and its validity."),
        "rotate": (f"{_HERE}.authority:rotate", "Replace the server's key and certificate."),
        "invite": (f"{_HERE}.devices:invite", "Print an enrollment code for a device."),
        "devices": (f"{_HERE}.devices:devices", "List devices."),
        "revoke": (f"{_HERE}.devices:revoke", "Revoke a device."),
        "usage": (f"{_HERE}.usage:usage", "List the tokens that devices used."),
        "move": (f"{_HERE}.records:move", "Move the records to PostgreSQL."),
        "publisher": (f"{_HERE}.publishers:publisher", "Manage publishers' public keys."),
    },
)
