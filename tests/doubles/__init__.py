"""Doubles of the parts that unit tests do without; nothing outside `tests/` imports them."""
