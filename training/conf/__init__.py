"""Hydra settings of `python -m training.train`."""
