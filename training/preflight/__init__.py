"""What can be known of a run before it is queued: `python -m training.preflight OVERRIDES...`."""
