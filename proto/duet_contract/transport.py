"""Require TLS 1.3 for every gRPC connection of this process, and silence gRPC's core.

gRPC's Python interface cannot set a minimum TLS version. It takes the cipher suites of TLS 1.2 from
the environment, while those of TLS 1.3 are fixed. The one suite named here needs a pre-shared key,
which gRPC never has. So TLS 1.2 finds no common suite, and its handshake fails.

gRPC's core writes a line to stderr for each failed connection. On a device the line would appear in
the user's answer; on a server it would appear for every client that does not speak TLS. Statuses
report the same errors. A GRPC_VERBOSITY that is set stays.

gRPC reads the variables when it is imported, so importing this module sets them; `device` and
`cloud` do so before anything else of theirs.
"""

import os
import sys

from duet_contract.errors import TransportError

VARIABLE = "GRPC_SSL_CIPHER_SUITES"
NO_SUITE_OF_TLS12 = "ECDHE-PSK-CHACHA20-POLY1305"
# As gRPC's authentication context names it.
TLS_VERSION = "TLSv1.3"

_IN_TIME = "grpc" not in sys.modules or os.environ.get(VARIABLE) == NO_SUITE_OF_TLS12
if _IN_TIME:
    os.environ[VARIABLE] = NO_SUITE_OF_TLS12
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def require_tls13() -> None:
    """Require TLS 1.3; call this before creating TLS credentials.

    Raises:
        TransportError: gRPC was imported before this call.
    """
    if not _IN_TIME:
        raise TransportError(
            "gRPC was imported before duet_contract.transport and would accept TLS 1.2: import "
            f"duet_device or duet_cloud first, or set {VARIABLE}={NO_SUITE_OF_TLS12}"
        )
