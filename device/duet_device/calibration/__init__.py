"""Fit the thresholds of a pair's policy on questions with known answers."""
