"""Built-in pairs, by name: `pair=qwen3-4b-0.6b`."""
