"""The pairs that come with DUET, as recipes, and the builder that makes them servable."""
