"""Muon in float32, for processors that have no fast bfloat16.

`torch.optim.Muon` orthogonalises in bfloat16. A processor without instructions for that emulates
them, and one step of a small model takes longer than its forward and backward passes.
"""

from collections.abc import Callable, Iterable
from typing import overload

import torch

# Of the quintic Newton-Schulz iteration: https://kellerjordan.github.io/posts/muon/
COEFFICIENTS = (3.4445, -4.775, 2.0315)
ITERATIONS = 5
EPSILON = 1e-7


class Float32Muon(torch.optim.Optimizer):
    """`torch.optim.Muon(adjust_lr_fn="match_rms_adamw")`, but in the matrices' own dtype."""

    def __init__(
        self,
        matrices: Iterable[torch.Tensor],
        lr: float,
        weight_decay: float,
        momentum: float = 0.95,
    ) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step along the orthogonalised momentum (Nesterov's)."""
        loss = closure() if closure else None
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(matrix)
                kept = state["momentum"]
                kept.lerp_(matrix.grad, 1 - group["momentum"])
                update = orthogonalised(matrix.grad.lerp(kept, group["momentum"]))
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                # The size of AdamW's updates, so that both take one rate (arXiv 2502.16982).
                size = 0.2 * max(matrix.shape) ** 0.5
                matrix.add_(update, alpha=-group["lr"] * size)
        return loss


def orthogonalised(matrix: torch.Tensor) -> torch.Tensor:
    """About the nearest semi-orthogonal matrix: singular values between 0.7 and 1.2."""
    a, b, c = COEFFICIENTS
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    wide = wide / wide.norm().clamp(min=EPSILON)
    for _ in range(ITERATIONS):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.T if matrix.shape[0] > matrix.shape[1] else wide
