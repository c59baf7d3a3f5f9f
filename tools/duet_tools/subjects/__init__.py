"""Subjects of measurements: services and engines as processes, and their prompts."""
