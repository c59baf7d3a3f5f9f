"""Hydra settings of `python -m duet_training.train`."""
