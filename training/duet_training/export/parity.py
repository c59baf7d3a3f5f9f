"""Whether the exported models do what the trained ones do, measured on the same questions.

The trained weights answer greedily in transformers, in the precision that they were saved in. Then
each exported model reads those very tokens: its odds before each token are compared with the
trained ones' (mean KL and most likely token; over the whole vocabulary where the engine gives it,
over its most likely tokens in vLLM). Last it answers itself: how many answers are the same, token
by token, and how many are right; from these follows the probability below which an answer is marked
as low in confidence.
"""

import gc
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from duet_training.errors import ExportError
from duet_training.evaluation.scoring import Scores
from duet_training.export.divergence import Distance, log_softmax
from duet_training.export.hub_model import HubModel
from duet_training.export.llama import LlamaModel
from duet_training.export.questions import Questions, accuracy, accuracy_drop
from duet_training.export.serving import serve, serving_interpreter
from duet_training.export.settings import ExportSettings, ParitySettings
from duet_training.export.source import Lengths
from duet_training.rl.sampling import fit_signal


def threshold(lowest: Sequence[float], scores: Scores, share: float | None) -> dict[str, Any]:
    """Compute the probability that all but `share` of the right answers reach.

    A decoder's probabilities are not calibrated, so the threshold comes from their values in right
    answers. The device compares the probability of its least likely answer token with it.

    Args:
        lowest: Probability of each answer's least likely token, (N,).
        scores: Scores of the answers, (N,); above a half is right.
        share: Share of right answers that may be marked; None: no threshold.

    Returns:
        `threshold`, None if fewer than 1 / `share` answers were right; and the shares of right and
        of wrong answers that it marks, each None without such answers.
    """
    odds, right = np.asarray(lowest, np.float64), np.asarray(scores) > 0.5
    found = None
    if share is not None and right.sum() * share >= 1:
        # Use a measured value: an interpolated one would also mark the measured value below it.
        quantile = float(np.quantile(odds[right], share, method="lower"))
        # The quantile of a decoder that is always sure is 1, which is not a valid threshold.
        found = min(max(quantile, 1e-6), 1 - 1e-6)
    return {
        "threshold": found,
        "right_marked": _marked(odds[right], found),
        "wrong_marked": _marked(odds[~right], found),
    }


def _marked(odds: Any, limit: float | None) -> float | None:
    return float((odds < limit).mean()) if limit is not None and len(odds) else None


def limit_for(limits: Mapping[str, float], name: str) -> float:
    """The limit whose key is the longest beginning of `name`; that of `other` if none is."""
    keys = [key for key in limits if name.startswith(key)]
    return limits[max(keys, key=len, default="other")]


def beyond(measured: Mapping[str, Any], settings: ParitySettings) -> list[str]:
    """A line for each figure that is beyond its limit; NaN always is."""
    rows = {"reasoner": measured["reasoner"]["files"]}
    if measured["reasoner"]["vllm"]["measured"]:
        rows["vllm"] = measured["reasoner"]["vllm"]
    rows |= measured["decoder"]
    found = []
    for name, row in rows.items():
        most, least = limit_for(settings.max_kl, name), limit_for(settings.min_top1, name)
        if math.isnan(row["mean_kl"]) or row["mean_kl"] > most:
            found.append(f"{name}: mean KL {row['mean_kl']:.4g} is above {most:g}")
        if math.isnan(row["top1_agreement"]) or row["top1_agreement"] < least:
            found.append(f"{name}: top-1 agreement {row['top1_agreement']:.3f} is below {least:g}")
        drop, low = row.get("accuracy_drop", 0.0), row.get("accuracy_drop_95", [0.0])[0]
        if drop > settings.max_accuracy_drop and low > 0:
            found.append(
                f"{name}: accuracy is {drop:.3f} lower, more than {settings.max_accuracy_drop:g}"
            )
    return found


Tokens = list[list[int]]


@dataclass(frozen=True)
class Exported:
    """Directories and files of an export."""

    trained_reasoner: Path
    """Directory of the reasoner's trained weights."""
    trained_decoder: Path
    """Directory of the decoder's trained weights."""
    reasoner: Path
    """Directory of the reasoner's written weights."""
    decoders: dict[str, Path]
    """GGUF files of the decoder by quantization."""


@dataclass(frozen=True)
class Parity:
    """What was exported and what it is measured on."""

    exported: Exported
    """What was exported."""
    questions: Questions
    """Questions that it is measured on."""
    lengths: Lengths
    """Limits in tokens that the run trained with."""
    settings: ExportSettings
    """Settings of the export."""

    def measure(self) -> dict[str, Any]:
        """Everything that `parity.json` holds but the verdict.

        Raises:
            ExportError: an engine cannot run what was exported.
        """
        prompts, problems = self.questions.prompts, self.questions.problems
        reasoner, signals = self._reasoner()
        gc.collect()
        guided, cut = [], 0
        for problem, signal in zip(problems, signals, strict=True):
            prompt, was_cut = fit_signal(
                prompts, problem.for_decoder, signal, self.lengths.decoder_prompt
            )
            guided.append(prompt)
            cut += was_cut
        decoder = HubModel(self.exported.trained_decoder)
        answers = decoder.greedy(
            guided, self.lengths.answer, prompts.end_of_answer, self.settings.parity.batch
        )
        scores = self._score(signals, answers)
        return {
            "data": {
                "file": self.questions.name,
                "source": problems[0].source,
                "questions": len(problems),
                "too_long": self.questions.too_long,
                "signals_cut": cut,
            },
            "trained": {
                "signal_tokens": _mean_length(signals),
                "answer_tokens": _mean_length(answers),
                **accuracy(scores),
            },
            "reasoner": reasoner,
            "decoder": {
                kind: self._in_llama(file, decoder, guided, signals, answers, scores)
                for kind, file in self.exported.decoders.items()
            },
        }

    def _reasoner(self) -> tuple[dict[str, Any], Tokens]:
        """Compare the reasoner; return the figures, and the signals of the trained weights."""
        wanted, prompts = self.settings.parity, self.questions.prompts
        stops = [prompts.end_of_reasoning, *prompts.end_of_text]
        how = (self.lengths.response, stops, wanted.batch)
        asked = [prompts.reasoner(problem.for_reasoner) for problem in self.questions.problems]
        trained = HubModel(self.exported.trained_reasoner)
        responses = trained.greedy(asked, *how)
        compared = [response[: wanted.tokens] for response in responses]
        written, distance = HubModel(self.exported.reasoner), Distance()
        for prompt, response in zip(asked, compared, strict=True):
            ours, theirs = (model.log_probs(prompt, response) for model in (trained, written))
            distance.add(ours, theirs, response)
        files = {
            "dtype": self.settings.reasoner_dtype,
            "computed_in": written.dtype,
            "compared": "the whole vocabulary",
            **distance.summary(),
            "greedy_agreement": _agreement(written.greedy(asked, *how), responses),
        }
        # An engine on the same GPU wants its memory.
        del written
        gc.collect()
        vllm = self._in_vllm(trained, asked, responses, compared, stops)
        return {"files": files, "vllm": vllm}, [prompts.signal(each) for each in responses]

    def _in_vllm(
        self,
        trained: HubModel,
        prompts: Tokens,
        responses: Tokens,
        compared: Tokens,
        stops: Sequence[int],
    ) -> dict[str, Any]:
        wanted = self.settings.parity
        interpreter = serving_interpreter(wanted.serving_python)
        if interpreter is None:
            return {
                "measured": False,
                "why": "no vLLM in this environment: name an interpreter that has it with "
                "parity.serving_python=PATH",
            }
        served = serve(
            interpreter,
            self.exported.reasoner,
            prompts,
            compared,
            stops=stops,
            limit=self.lengths.response,
            top=wanted.serving_top,
            seconds=wanted.serving_seconds,
        )
        distance = Distance()
        for prompt, response, known in zip(prompts, compared, served.log_probs, strict=True):
            if any(token not in row for token, row in zip(response, known, strict=True)):
                raise ExportError("vLLM gave no log-prob for a token that it was given")
            distance.add_known(trained.log_probs(prompt, response), known, response)
        return {
            "measured": True,
            "version": served.version,
            "dtype": served.dtype,
            "compared": f"vLLM's {wanted.serving_top} most likely tokens and the text's own; all "
            "others as one, so the KL is a lower bound",
            **distance.summary(),
            "greedy_agreement": _agreement(served.responses, responses),
        }

    def _in_llama(
        self,
        file: Path,
        trained: HubModel,
        prompts: Tokens,
        signals: Tokens,
        answers: Tokens,
        scores: Scores,
    ) -> dict[str, Any]:
        model = LlamaModel(file, self.settings.threads or len(os.sched_getaffinity(0)))
        try:
            distance, own, lowest = Distance(), [], []
            stops = self.questions.prompts.end_of_answer
            for prompt, answer in zip(prompts, answers, strict=True):
                text = answer[: self.settings.parity.tokens]
                theirs = log_softmax(model.logits(prompt, text))
                distance.add(trained.log_probs(prompt, text), theirs, text)
                mine, odds = model.greedy(prompt, self.lengths.answer, stops)
                own.append(mine)
                lowest.append(odds)
        finally:
            model.close()
        scored = self._score(signals, own)
        return {
            "compared": "the whole vocabulary",
            **distance.summary(),
            "greedy_agreement": _agreement(own, answers),
            **accuracy(scored),
            **accuracy_drop(scores, scored),
            "confidence": threshold(lowest, scored, self.settings.doubt),
            "answer_tokens": _mean_length(own),
        }

    def _score(self, signals: Tokens, answers: Tokens) -> Scores:
        asked, prompts = self.questions.problems, self.questions.prompts
        return self.questions.score(
            [
                prompts.answer(problem.for_decoder, signal, answer)
                for problem, signal, answer in zip(asked, signals, answers, strict=True)
            ]
        )


def _agreement(ours: Tokens, theirs: Tokens) -> float:
    pairs = zip(ours, theirs, strict=True)
    return sum(a == b for a, b in pairs) / len(theirs)


def _mean_length(rows: Tokens) -> float:
    return sum(map(len, rows)) / len(rows)


def report_lines(report: dict[str, Any]) -> list[str]:
    """What a person wants to see of `parity.json`."""
    reasoner, trained = report["reasoner"], report["trained"]
    rows = [("reasoner " + reasoner["files"]["dtype"], reasoner["files"])]
    if reasoner["vllm"]["measured"]:
        rows.append((f"vLLM {reasoner['vllm']['dtype']}", reasoner["vllm"]))
    rows += [(f"decoder {kind}", row) for kind, row in report["decoder"].items()]
    shown = [f"trained weights: accuracy {trained['accuracy']:.3f}"]
    for name, row in rows:
        line = (
            f"{name}: KL {row['mean_kl']:.2g}, top-1 {row['top1_agreement']:.3f}, "
            f"same text {row['greedy_agreement']:.2f}"
        )
        shown.append(line + (f", accuracy {row['accuracy']:.3f}" if "accuracy" in row else ""))
    if not reasoner["vllm"]["measured"]:
        shown.append(f"vLLM: not measured ({reasoner['vllm']['why']})")
    return shown + [f"WARNING: {line}" for line in report["beyond"]]
