"""How a model is sampled, and what comes back."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Response:
    """What a policy sampled."""

    tokens: list[int]
    """Token ids, with the one that ended the response."""
    log_probs: list[float]
    """Log-prob of each token in nats."""
    finished: bool
    """Whether the response ended by itself, not at the limit."""


@dataclass(frozen=True)
class Sampling:
    """How to sample: at most `tokens`, ending at any of `stops`; temperature 0 is greedy.

    `top_k` likeliest tokens (-1: all), and of those the fewest that hold `top_p` of the
    probability. Log-probs are of the distribution before both, which is the one that is trained.
    """

    tokens: int
    """Maximum number of tokens."""
    temperature: float
    """Sampling temperature; 0 is greedy."""
    stops: tuple[int, ...]
    """Token ids that end the response."""
    top_p: float = 1.0
    """Share of the probability that the sampled tokens hold, among the `top_k` most likely ones."""
    top_k: int = -1
    """Number of most likely tokens that may be sampled; -1 allows all tokens."""
