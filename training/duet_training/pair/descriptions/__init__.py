"""Pairs that are shipped by name: `pair=qwen3-4b-0.6b`."""
