"""SFT of one model: resumable, with the same result after any interruption.

Examples are drawn in chunks, a function of the seed and the chunk's number, and split into batches
of rows of similar length, with few different shapes. So batches have little padding, and oneDNN,
which compiles a kernel for each shape, compiles few. Muon trains the hidden matrices, because it
learns faster from few tokens; AdamW trains all other weights.
"""

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from duet_contract.errors import first_line
from duet_training.errors import CheckpointError
from duet_training.files import replacing
from duet_training.sft.examples import Example
from duet_training.sft.muon import Float32Muon
from duet_training.verl_backend.precision import has_fast_bfloat16

# Examples per chunk: more examples need less padding.
CHUNK = 512
# Batch widths are multiples of this number.
GRAIN = 32
IGNORED = -100
# Steps between two saves: the most that an interruption can lose.
SAVE_EVERY = 200
WEIGHT_DECAY = 0.01

Draw = Callable[[random.Random, int, int], list[Example]]
"""Draws so many examples, those of a chunk: with its random numbers, or by its number."""


@dataclass(frozen=True)
class Plan:
    """Duration and learning rate of training."""

    steps: int
    """Number of training steps."""
    tokens: int = 3072
    """Tokens of a batch, including padding."""
    rate: float = 2e-3
    """Highest learning rate."""
    warmup: int = 50
    """Steps of warm-up."""
    decay: float = 0.3
    """Share of the steps in which the learning rate falls."""
    seed: int = 0
    """Seed of the examples."""
    bfloat16: bool = field(default_factory=has_fast_bfloat16)
    """Whether to multiply in bfloat16; by default if the processor is fast at it."""
    grain: int = GRAIN
    """Batch widths are multiples of this number; a small one suits short examples."""
    compiled: bool = False
    """Whether to compile the layers of a model with an adapter: a quarter less time a step, after two
    minutes. It needs a C++ compiler.
    """

    def rate_at(self, step: int) -> float:
        """Compute the rate: warm-up, a constant phase, and a linear decay to a fiftieth."""
        falling = max(1, int(self.steps * self.decay))
        down = (self.steps - step) / falling
        return self.rate * min(1.0, (step + 1) / self.warmup, max(0.02, down))


def _muon(matrices: list[torch.Tensor], plan: Plan) -> torch.optim.Optimizer:
    if plan.bfloat16:
        return torch.optim.Muon(
            matrices, lr=plan.rate, weight_decay=WEIGHT_DECAY, adjust_lr_fn="match_rms_adamw"
        )
    return Float32Muon(matrices, lr=plan.rate, weight_decay=WEIGHT_DECAY)


class SftTrainer:
    """A model in training. `state`: file of the resume state. `chunk`: number of the chunk."""

    def __init__(self, model: Path, state: Path, plan: Plan) -> None:
        self._directory, self._state, self._plan = model, state, plan
        self.model: Any = self._made()
        self._optimisers = self._optimisers_of(plan)
        self.step = self.chunk = self._place = 0
        if state.is_file():
            self._load()

    def _made(self) -> Any:
        return AutoModelForCausalLM.from_pretrained(self._directory, dtype=torch.float32)

    def _optimisers_of(self, plan: Plan) -> tuple[torch.optim.Optimizer, ...]:
        matrices = [w for n, w in self.model.named_parameters() if w.ndim == 2 and "embed" not in n]
        others = [w for n, w in self.model.named_parameters() if w.ndim != 2 or "embed" in n]
        adamw = torch.optim.AdamW(others, lr=plan.rate, betas=(0.9, 0.98), weight_decay=0.0)
        return (_muon(matrices, plan), adamw)

    def _weights(self) -> dict[str, Any]:
        weights: dict[str, Any] = self.model.state_dict()
        return weights

    def _take(self, weights: dict[str, Any]) -> None:
        self.model.load_state_dict(weights)

    def _write(self) -> None:
        with replacing(self._directory) as scratch:
            self.model.save_pretrained(scratch)

    def _load(self) -> None:
        try:
            saved: dict[str, Any] = torch.load(self._state, weights_only=True)
            self.step, self.chunk, self._place = (saved[k] for k in ("step", "chunk", "place"))
            self._take(saved["model"])
            for optimiser, kept in zip(self._optimisers, saved["optimisers"], strict=True):
                optimiser.load_state_dict(kept)
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise CheckpointError(
                f"cannot continue from {self._state}: {first_line(error)}"
            ) from error

    def save(self) -> None:
        """Write the model in the format of transformers, then the state that says how far it is."""
        self._write()
        partial = self._state.with_suffix(".partial")
        partial.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "step": self.step,
            "chunk": self.chunk,
            "place": self._place,
            "model": self._weights(),
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
        }
        torch.save(content, partial)
        partial.rename(self._state)

    def train(self, draw: Draw, *, until: float, name: str = "") -> bool:
        """Train until the plan is done (True), or save and stop early (False).

        Args:
            draw: Draws the examples of a chunk.
            until: Time to stop, on the monotonic clock. SIGTERM also stops training after the step.
            name: First word of the lines of progress: loss in nats a token, and tokens a second.
        """
        if self.step >= self._plan.steps:
            return True
        with _terminated() as terminated:
            return self._train(draw, until, name, terminated)

    def _train(self, draw: Draw, until: float, name: str, terminated: threading.Event) -> bool:
        started, tokens, losses = time.monotonic(), 0, list[float]()
        batches = self._batches(draw)
        self.model.train()
        while self.step < self._plan.steps:
            if time.monotonic() > until or terminated.is_set():
                self.save()
                return False
            # A data mixture that differs from the interrupted one may give fewer batches per chunk.
            if self._place >= len(batches):
                self.chunk, self._place = self.chunk + 1, 0
                batches = self._batches(draw)
            batch = batches[self._place]
            losses.append(self._learn(batch))
            tokens += sum(map(len, batch.examples))
            self.step += 1
            self._place += 1
            if self.step % 50 == 0:
                speed = tokens / (time.monotonic() - started)
                at = f"{name} {self.step}/{self._plan.steps}"
                print(f"{at}  loss {fmean(losses):.4f}  {speed:.0f} tokens/s", flush=True)
                losses.clear()
            if self.step % SAVE_EVERY == 0:
                self.save()
        self.save()
        return True

    def _batches(self, draw: Draw) -> list["Batch"]:
        rng = random.Random(f"{self._plan.seed}/{self.chunk}")
        return batched(draw(rng, CHUNK, self.chunk), self._plan.tokens, rng, self._plan.grain)

    def _learn(self, batch: "Batch") -> float:
        for optimiser in self._optimisers:
            optimiser.zero_grad(set_to_none=True)
            for group in optimiser.param_groups:
                group["lr"] = self._plan.rate_at(self.step)
        loss = self._loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser in self._optimisers:
            optimiser.step()
        return float(loss.detach())

    def _loss(self, batch: "Batch") -> torch.Tensor:
        ids, labels = batch.tensors()
        with torch.autocast("cpu", torch.bfloat16) if self._plan.bfloat16 else nullcontext():
            logits = self.model(ids).logits
        return cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten())


@contextmanager
def _terminated() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM sets in the main thread; in other threads it stays unset."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = signal.signal(signal.SIGTERM, lambda *_: event.set())
    try:
        yield event
    finally:
        signal.signal(signal.SIGTERM, before)


@dataclass(frozen=True)
class Batch:
    """Examples of one tensor."""

    examples: tuple[Example, ...]
    """The examples, one in a row."""
    rows: int
    """Number of rows, which may exceed the number of examples."""
    width: int
    """Tokens of a row, padding included."""

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Make ids and labels, padded at the end, which causal attention of real tokens ignores."""
        ids = torch.zeros((self.rows, self.width), dtype=torch.long)
        labels = torch.full((self.rows, self.width), IGNORED)
        for row, example in enumerate(self.examples):
            whole = torch.tensor([*example.prompt, *example.response])
            ids[row, : len(whole)] = whole
            response = whole[len(example.prompt) :]
            if example.loss_mask:
                response = response.where(torch.tensor(example.loss_mask), IGNORED)
            labels[row, len(example.prompt) : len(whole)] = response
        return ids, labels


def batched(
    examples: Sequence[Example], tokens: int, rng: random.Random, grain: int = GRAIN
) -> list[Batch]:
    """Make batches of at most `tokens`, with rows of similar length, in random order."""
    ordered = sorted(examples, key=len, reverse=True)
    batches = []
    while ordered:
        width = -(-len(ordered[0]) // grain) * grain
        rows = max(1, tokens // width)
        batches.append(Batch(tuple(ordered[:rows]), rows, width))
        ordered = ordered[rows:]
    rng.shuffle(batches)
    return batches
