"""Decide how many tokens a question needs: measures, checks, thresholds, and what follows."""
