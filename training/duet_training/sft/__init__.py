"""The start of a pair from scratch: tokenizer, models, SFT on worked word problems."""

UNFINISHED = 3
"""Exit code of a command that the time limit ended."""
PRIVATE_PAIR, PRIVATE_VERSION = "private-sums-135m", "0.2.0"
"""The pair with private quantities."""
