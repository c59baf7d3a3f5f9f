"""Figures of the split, each measured side by side with a peer."""
