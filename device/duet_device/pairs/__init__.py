"""The pairs on this device: found, loaded, fetched, listed and deleted."""
