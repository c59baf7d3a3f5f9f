"""The commands of `duet-train`. Each imports what it runs only when it runs."""
