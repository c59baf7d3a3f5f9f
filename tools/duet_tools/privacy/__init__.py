"""Measure what of a question leaves a device whose pair has private quantities."""
