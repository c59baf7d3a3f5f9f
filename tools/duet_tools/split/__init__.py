"""Runs the same questions through the split and its alternatives, over given links."""
