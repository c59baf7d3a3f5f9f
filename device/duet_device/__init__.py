"""The device's side. TLS is settled before anything here imports gRPC."""

import duet_contract.transport as _transport  # noqa: F401
