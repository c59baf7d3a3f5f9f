"""Whether the exported models do what the trained ones do, measured on the same questions.

The trained weights answer greedily in transformers, in the precision that they were saved in. Then
each exported model reads those very tokens: its odds before each token are compared with the
trained ones' (mean KL and most likely token; over the whole vocabulary where the engine gives it,
over its most likely tokens in vLLM). Last it answers itself: how many answers are the same, token
by token, and how many are right.
"""

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from duet_training.errors import ExportError
from duet_training.export.confidence import threshold
from duet_training.export.divergence import Distance, log_softmax
from duet_training.export.hub_model import HubModel
from duet_training.export.llama import LlamaModel
from duet_training.export.questions import Questions, Scores, accuracy, accuracy_drop
from duet_training.export.serving import serve, serving_interpreter
from duet_training.export.settings import ExportSettings
from duet_training.export.source import Lengths
from duet_training.rl.sampling import fit_signal

Tokens = list[list[int]]


@dataclass(frozen=True)
class Exported:
    """Directories of trained and of written weights; GGUF files by quantisation."""

    trained_reasoner: Path
    trained_decoder: Path
    reasoner: Path
    decoders: dict[str, Path]


def measure(
    exported: Exported, questions: Questions, lengths: Lengths, settings: ExportSettings
) -> dict[str, Any]:
    """Everything that `parity.json` holds but the verdict.

    Raises:
        ExportError: an engine cannot run what was exported.
    """
    wanted, prompts, problems = settings.parity, questions.prompts, questions.problems
    stops = [prompts.end_of_reasoning, *prompts.end_of_text]
    asked = [prompts.reasoner(problem.for_reasoner) for problem in problems]
    trained = HubModel(exported.trained_reasoner)
    responses = trained.greedy(asked, lengths.response, stops, wanted.batch)
    compared = [response[: wanted.tokens] for response in responses]
    written = HubModel(exported.reasoner)
    files = _read_by_hub(trained, written, asked, compared)
    same = _agreement(written.greedy(asked, lengths.response, stops, wanted.batch), responses)
    written_in = written.dtype
    # An engine on the same GPU wants its memory.
    del written
    gc.collect()
    reasoner = {
        "files": {
            "dtype": settings.reasoner_dtype,
            "computed_in": written_in,
            **files,
            "greedy_agreement": same,
        }
    }
    reasoner["vllm"] = _in_vllm(
        trained, exported.reasoner, asked, responses, compared, stops, lengths, settings
    )
    del trained
    gc.collect()

    signals = [prompts.signal(response) for response in responses]
    guided, cut = [], 0
    for problem, signal in zip(problems, signals, strict=True):
        prompt, was_cut = fit_signal(prompts, problem.for_decoder, signal, lengths.decoder_prompt)
        guided.append(prompt)
        cut += was_cut
    decoder = HubModel(exported.trained_decoder)
    answers = decoder.greedy(guided, lengths.answer, prompts.end_of_answer, wanted.batch)
    scores = questions.score([prompts.answer_text(answer) for answer in answers])
    decoders = {
        kind: _in_llama(file, decoder, guided, answers, scores, questions, lengths, settings)
        for kind, file in exported.decoders.items()
    }
    return {
        "data": {
            "file": questions.name,
            "source": problems[0].source,
            "questions": len(problems),
            "too_long": questions.too_long,
            "signals_cut": cut,
        },
        "trained": {
            "signal_tokens": _mean_length(signals),
            "answer_tokens": _mean_length(answers),
            **accuracy(scores),
        },
        "reasoner": reasoner,
        "decoder": decoders,
    }


def _read_by_hub(
    trained: HubModel, other: HubModel, prompts: Tokens, responses: Tokens
) -> dict[str, Any]:
    distance = Distance()
    for prompt, response in zip(prompts, responses, strict=True):
        ours, theirs = (model.log_probs(prompt, response) for model in (trained, other))
        distance.add(ours, theirs, response)
    return {"compared": "the whole vocabulary", **distance.summary()}


def _in_vllm(
    trained: HubModel,
    model: Path,
    prompts: Tokens,
    responses: Tokens,
    compared: Tokens,
    stops: Sequence[int],
    lengths: Lengths,
    settings: ExportSettings,
) -> dict[str, Any]:
    wanted = settings.parity
    interpreter = serving_interpreter(wanted.serving_python)
    if interpreter is None:
        return {
            "measured": False,
            "why": "no vLLM in this environment: name an interpreter that has it with "
            "parity.serving_python=PATH",
        }
    served = serve(
        interpreter,
        model,
        prompts,
        compared,
        stops=stops,
        limit=lengths.response,
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
    file: Path,
    trained: HubModel,
    prompts: Tokens,
    answers: Tokens,
    scores: Scores,
    questions: Questions,
    lengths: Lengths,
    settings: ExportSettings,
) -> dict[str, Any]:
    model = LlamaModel(file, settings.threads or _processors())
    try:
        distance, own, lowest = Distance(), [], []
        stops = questions.prompts.end_of_answer
        for prompt, answer in zip(prompts, answers, strict=True):
            text = answer[: settings.parity.tokens]
            theirs = log_softmax(model.logits(prompt, text))
            distance.add(trained.log_probs(prompt, text), theirs, text)
            mine, odds = model.greedy(prompt, lengths.answer, stops)
            own.append(mine)
            lowest.append(odds)
    finally:
        model.close()
    scored = questions.score([questions.prompts.answer_text(answer) for answer in own])
    return {
        "compared": "the whole vocabulary",
        **distance.summary(),
        "greedy_agreement": _agreement(own, answers),
        **accuracy(scored),
        **accuracy_drop(scores, scored),
        "confidence": threshold(lowest, scored, settings.doubt),
        "answer_tokens": _mean_length(own),
    }


def _agreement(ours: Tokens, theirs: Tokens) -> float:
    pairs = zip(ours, theirs, strict=True)
    return sum(a == b for a, b in pairs) / len(theirs)


def _mean_length(rows: Tokens) -> float:
    return sum(map(len, rows)) / len(rows)


def _processors() -> int:
    import os

    return len(os.sched_getaffinity(0))


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
