"""What can be known of a run before it is queued: `duet-train preflight OVERRIDES...`."""
