"""What can be known of a run before it is queued: `python -m duet_training.preflight OVERRIDES...`."""
