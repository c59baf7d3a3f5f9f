"""The commands of `duet-cloud`."""
