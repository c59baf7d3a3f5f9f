"""What the commands of supervised training have in common: progress lines and an exit code."""

UNFINISHED = 3
PRIVATE_PAIR, PRIVATE_VERSION = "private-sums-135m", "0.1.0"
"""The pair with private quantities."""


def report(role: str, steps: int, step: int, loss: float, speed: float) -> None:
    """A line of progress; `loss` in nats a token, `speed` in tokens a second."""
    print(f"{role} {step}/{steps}  loss {loss:.4f}  {speed:.0f} tokens/s", flush=True)
