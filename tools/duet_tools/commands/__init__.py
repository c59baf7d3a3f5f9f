"""The commands of `duet-bench`."""
