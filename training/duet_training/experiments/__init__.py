"""Experiments at small scale: every method from one start, on problems that a CPU can learn."""
