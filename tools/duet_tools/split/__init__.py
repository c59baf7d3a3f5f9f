"""Runs the same questions through the split and what one would run instead, over given links."""
