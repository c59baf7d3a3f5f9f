"""The GPU host's side: vLLM behind gRPC, identities, admission, metrics, and the pairs to serve."""

# TLS is settled before anything here imports gRPC.
import duet_contract.transport as _transport  # noqa: F401
