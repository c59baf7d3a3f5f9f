"""How a model is sampled, and what comes back."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Response:
    """What a policy sampled: token ids, the one that ended it included, and their log-probs.

    `finished`: it ended by itself, not at the limit.
    """

    tokens: list[int]
    log_probs: list[float]
    finished: bool


@dataclass(frozen=True)
class Sampling:
    """How to sample: at most `tokens`, ending at any of `stops`; temperature 0 is greedy.

    `top_k` likeliest tokens (-1: all), and of those the fewest that hold `top_p` of the
    probability. Log-probs are of the distribution before both, which is the one that is trained.
    """

    tokens: int
    temperature: float
    stops: tuple[int, ...]
    top_p: float = 1.0
    top_k: int = -1
