"""A policy without engines: it responds from a script, and tells what it was asked to do."""

from dataclasses import dataclass
from itertools import cycle

import torch

from duet_training.verl_backend.generation import Response

# The log-prob of every token in the rollout, and how much less the initial model gives it.
LOG_PROB, INITIAL = -1.0, 0.1


@dataclass(frozen=True)
class Update:
    """What a policy was asked to learn from, a row a response."""

    prompts: list[list[int]]
    """Token ids of each prompt."""
    advantages: torch.Tensor
    """Advantages of each token."""
    mini_batch: int
    """Responses of a mini-batch."""


class ScriptedPolicy:
    """`events`: shared by the policies of a run. `losses`: of its updates in turn, then 0.5.

    `apart`: how far the trainer's log-probs are from the rollout's. `full`: the step at which the
    disk is full.
    """

    apart, full = 0.0, None

    def __init__(self, name, encode, texts, events):
        self.name, self.events, self.losses = name, events, []
        self.updates, self.loaded, self.sampling, self.asked_initial = [], None, None, 0
        self._responses = cycle([encode(text, add_special_tokens=False).ids for text in texts])

    def _did(self, what):
        self.events.append(f"{self.name} {what}")

    def to_rollout(self, step):
        self._did("wakes")

    def check_in_sync(self):
        self._did("is compared")

    def sample(self, prompts, sampling, seeds):
        self._did("samples")
        self.sampling = sampling
        rows = [next(self._responses)[: sampling.tokens] for _ in prompts]
        return [Response(ids, [LOG_PROB] * len(ids), finished=True) for ids in rows]

    def rest(self):
        self._did("rests")

    def batch(self, prompts, responses):
        return prompts, responses

    def log_probs(self, batch, *, reference=False):
        self.asked_initial += reference
        value = LOG_PROB - INITIAL if reference else LOG_PROB + self.apart
        rows = [torch.full((len(response.tokens),), value) for response in batch[1]]
        return torch.nested.as_nested_tensor(rows, layout=torch.jagged)

    def update(self, batch, advantages, log_probs, mini_batch):
        self._did("learns")
        self.updates.append(Update(batch[0], advantages, mini_batch))
        loss = self.losses.pop(0) if self.losses else 0.5
        return {"loss": loss, "clipped": 0.0, "grad_norm": 1.0}

    def save(self, directory, step):
        directory.mkdir()
        (directory / "weights").write_text(str(step))
        if step == self.full:
            # What torch makes of it.
            raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")

    def load(self, directory):
        self.loaded = (directory / "weights").read_text()
