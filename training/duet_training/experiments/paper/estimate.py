"""Estimates hours, disk and GPU memory of each stage; nothing here was measured on a GPU.

Lengths are the paper's: the reasoner's mean response on MATH500 after 0, 50, 100 and 150 steps, and
on each test set. Memory is the model of `duet_training.preflight.memory`. Speed follows from the
devices' published peaks and three assumed shares of them, all in `Assumed`:

    decoding   L_max * (2 P + A * (L / 2) * C) / (bandwidth * share)     a step of the batch reads
               the weights and the cache of the A = n L / L_max responses that run at a time
    learning   (8 P T + 2 P T + 2 P T) / (ranks * peak * share)          update with recomputed layers,
               log-probs, initial model

P weights, T tokens, C bytes of cache a token, n responses a device, L mean and L_max longest length.
Attention is left out of the floating-point operations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from duet_training.evaluation.report.tables import paper
from duet_training.experiments.paper.plan import PaperStage
from duet_training.experiments.paper.trainings import SAMPLES, PaperTraining
from duet_training.preflight.host import checkpoint_gib
from duet_training.preflight.memory import ModelShape
from duet_training.settings.run import Settings

# From the published config.json of Qwen3-4B and Qwen3-0.6B.
QWEN = {
    "reasoner": ModelShape(4_022_272_000, 36, 2560, 9728, 4096, 1024, 151_936),
    "decoder": ModelShape(595_984_384, 28, 1024, 3072, 2048, 1024, 151_936),
}
QUESTIONS = {"math500": 500, "amc23": 40, "aime24": 30, "aime25": 30, "gpqa-diamond": 198}
# GB of the prepared rows of all data sets together: small next to a checkpoint.
DATA_GIB = 0.1
# Rows and tables of the paper with the lengths of what is not trained.
_PLAIN = {
    "math-lighteval": "MATH-LightEval",
    "deepscaler": "DeepScaleR",
    "dapo-math-17k": "DAPO-Math-17k",
}
_LABELS = {
    "prompted": ("Prompt-based", 1),
    **{f"truncated-{cut}": (f"Truncation at {cut}", 4) for cut in (3072, 4096, 8192)},
}


@dataclass(frozen=True)
class Assumed:
    """What the estimate assumes; `source` of each is in its docstring."""

    bandwidth: float = 3.35e12
    """Bytes a second of an H100 SXM's memory (NVIDIA's data sheet)."""
    peak: float = 989e12
    """Dense bfloat16 operations a second of an H100 SXM (NVIDIA's data sheet)."""
    decoding: float = 0.5
    """Share of the bandwidth that decoding reaches (assumed)."""
    learning: float = 0.35
    """Share of the peak that training reaches (assumed)."""
    tail: float = 4.0
    """Longest response, as a multiple of the mean, up to the limit (assumed)."""
    answer: int = 450
    """Tokens of the decoder's answer (the paper's on MATH500 after 100 steps: 452)."""
    prompt: int = 150
    """Tokens of a question with its template (assumed)."""
    start: float = 300.0
    """Seconds until both models and their servers run (assumed)."""
    step: float = 30.0
    """Seconds of a step for weights, waking, scoring and the driver (assumed)."""


@dataclass(frozen=True)
class Cost:
    """Estimate of a stage."""

    hours: float
    """Hours on the plan's devices."""
    disk: float
    """GiB that the stage holds on disk at its end."""
    memory: float | None
    """GiB of a device at its fullest phase; None without a device's memory."""


def response_tokens(training: PaperTraining, step: int) -> float:
    """Mean response tokens at a step: the paper's on MATH500, linear between its steps.

    Of a baseline, between the original and what it ended with after its training.
    """
    known = {0: _on_math500("Original model", 1)}
    last = {"single": "Single model", "thinkprune": "ThinkPrune", "lgrpo": "L-GRPO"}
    if training.name.startswith("plain-"):
        known[training.steps] = _on_math500(_PLAIN[training.data], 7)
    elif training.method in last:
        known[training.steps] = _on_math500(last[training.method], 1)
    else:
        known |= {at: _on_math500(f"{at} steps", 3) for at in (50, 100, 150)}
    steps = sorted(known)
    high = next((at for at in steps if at >= step), steps[-1])
    low = max((at for at in steps if at <= step), default=steps[0])
    if high == low:
        return known[low]
    return known[low] + (step - low) / (high - low) * (known[high] - known[low])


def _on_math500(label: str, number: int) -> float:
    (table,) = (t for t in paper()["tables"] if t["number"] == number)
    (row,) = (r for r in table["rows"] if r["label"] == label)
    return float(row["paper"]["math500"]["reasoner_tokens"])


@dataclass(frozen=True)
class Estimates:
    """Estimates stages of one recipe."""

    settings: Settings
    """Of a training with the recipe's overrides."""
    shapes: Mapping[str, ModelShape]
    """Of both models, by "reasoner" and "decoder"."""
    phases: Mapping[str, Mapping[str, float]]
    """GiB of each phase by part (`duet_training.preflight.memory.phases`)."""
    assumed: Assumed = Assumed()
    """What the estimate assumes."""

    def of(self, stage: PaperStage) -> Cost:
        """Estimate a stage."""
        if stage.kind == "train" and stage.training:
            training, memory = stage.training, self._memory(stage.training.method)
            seconds = self.assumed.start + sum(
                self._step(training, step) for step in range(1, training.steps + 1)
            )
            # While the last one is written, the newest before it is there as well.
            disk = (len(training.at) + 1) * checkpoint_gib(dict(self._own(training.method)))
            return Cost(seconds / 3600, disk, memory)
        if stage.kind == "evaluate":
            method = stage.training.method if stage.training else "single"
            return Cost(self._evaluation(stage) / 3600, 0.0, self._memory(method, awake=True))
        return Cost(0.05, DATA_GIB if stage.kind == "data" else 0.0, None)

    def _own(self, method: str) -> Mapping[str, ModelShape]:
        if method == "duet":
            return self.shapes
        return {"reasoner": self.shapes["reasoner"]}

    def _memory(self, method: str, *, awake: bool = False) -> float | None:
        names = self._own(method)
        found = [
            sum(size for part, size in parts.items() if _belongs(part, names))
            for phase, parts in self.phases.items()
            if phase.split("'")[0].split()[0] in names and (not awake or "generates" in phase)
        ]
        return max(found, default=None)

    def _step(self, training: PaperTraining, step: int) -> float:
        batch, tokens = self.settings.batch, self.settings.tokens
        assumed, signals = self.assumed, batch.questions * batch.signals
        length = min(response_tokens(training, step), tokens.response)
        seconds = assumed.step + self._decoding("reasoner", signals, length, tokens.response)
        seconds += self._learning("reasoner", signals * (length + assumed.prompt), initial=True)
        if training.method == "duet":
            answers = signals * batch.answers
            answer = min(assumed.answer, tokens.answer)
            seconds += self._decoding("decoder", 2 * answers, answer, tokens.answer)
            read = assumed.prompt + min(length, tokens.decoder_prompt) + answer
            seconds += self._learning("decoder", answers * read, initial=False)
        return seconds

    def _decoding(self, name: str, responses: float, mean: float, limit: int) -> float:
        assumed, shape = self.assumed, self.shapes[name]
        longest = min(limit, assumed.tail * mean)
        running = responses / self.settings.hardware.ranks_of(name) * mean / max(longest, 1)
        cached = running * (mean / 2 + assumed.prompt) * shape.cache_bytes
        read = 2 * shape.parameters + cached
        return longest * read / (assumed.bandwidth * assumed.decoding)

    def _learning(self, name: str, tokens: float, *, initial: bool) -> float:
        assumed, parameters = self.assumed, self.shapes[name].parameters
        operations = (12 if initial else 10) * parameters * tokens
        ranks = self.settings.hardware.ranks_of(name)
        return operations / (ranks * assumed.peak * assumed.learning)

    def _evaluation(self, stage: PaperStage) -> float:
        seconds = self.assumed.start
        originals = _originals()
        share = 1.0
        if stage.name.rpartition("-seed")[0] in _LABELS:
            share = _on_math500(*_LABELS[stage.name.rpartition("-seed")[0]]) / originals["math500"]
        elif stage.training and stage.step:
            share = response_tokens(stage.training, stage.step) / originals["math500"]
        tokens = self.settings.tokens
        for line in stage.lines:
            (out,) = (word for word in line if word.startswith("out="))
            name = out.rpartition("@")[2].removesuffix(".json")
            mean = min(share * originals[name], tokens.response)
            for _ in range(SAMPLES.get(name, 1)):
                seconds += self._decoding("reasoner", QUESTIONS[name], mean, tokens.response)
                if stage.training and stage.training.method == "duet":
                    answer = min(self.assumed.answer, tokens.answer)
                    seconds += self._decoding("decoder", QUESTIONS[name], answer, tokens.answer)
        return seconds


def _originals() -> dict[str, float]:
    """Mean response tokens of the untrained reasoner on each test set (the paper's table 2)."""
    (table,) = (t for t in paper()["tables"] if t["number"] == 2)
    row: dict[str, Any] = table["rows"][0]["paper"]
    return {name: float(cell["reasoner_tokens"]) for name, cell in row.items()}


def _belongs(part: str, names: Mapping[str, ModelShape]) -> bool:
    """Whether a part of a phase's memory is there with these models alone."""
    other = {"reasoner", "decoder"} - set(names)
    return not any(part.startswith(f"{name}'s") for name in other)


def totals(stages: Sequence[PaperStage], costs: Mapping[str, Cost], *, kept: bool) -> Cost:
    """Sum hours; of disk, the most at any time: all runs if weights are `kept`, else the largest."""
    chosen = [costs[stage.name] for stage in stages]
    trained = [costs[s.name].disk for s in stages if s.kind == "train"]
    held = sum(trained) if kept else max(trained, default=0.0)
    others = sum(costs[s.name].disk for s in stages if s.kind != "train")
    memories = [cost.memory for cost in chosen if cost.memory is not None]
    return Cost(sum(cost.hours for cost in chosen), held + others, max(memories, default=None))
