"""Verifiers: whether an answer is right, in [0, 1]. One small interface, one verifier a file."""

from duet_training.evaluation.verifiers.base import Truth, Verifier
from duet_training.evaluation.verifiers.registry import make_verifier

__all__ = ["Truth", "Verifier", "make_verifier"]
