"""Hydra settings of `duet-train run`."""
