"""The GPU host's side: vLLM behind gRPC, admission, metrics, and the pairs to serve."""
