"""Measures DUET: the split next to its peers, links, capacity, faults; and reports of it."""

# Selects the TLS versions, before anything here imports gRPC.
import duet_contract.transport as _transport  # noqa: F401
