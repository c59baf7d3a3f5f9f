"""What a start is worth before joint training: greedy answers to held-out stories."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from duet_training.data.story_problems import traces
from duet_training.data.story_problems.draw import SCOPES, stories
from duet_training.data.story_problems.story import Story
from duet_training.pair.description import Pair, load_pair
from duet_training.pair.prompting import PairPrompts
from duet_training.sft.examples import Teacher
from duet_training.verl_backend.cpu.batch import respond
from duet_training.verl_backend.cpu.sampler import SeededSampler


def by_length(
    model: Any,
    prompts: Sequence[list[int]],
    seeds: Sequence[int],
    temperature: float,
    limit: int,
    stops: list[int],
    rows: int,
) -> list[tuple[list[int], list[float]]]:
    """Responses in the order of the prompts, in batches of `rows` of similar length."""
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    found: dict[int, tuple[list[int], list[float]]] = {}
    for start in range(0, len(order), rows):
        chosen = order[start : start + rows]
        sampler = SeededSampler([seeds[place] for place in chosen], temperature)
        asked = [prompts[place] for place in chosen]
        found |= zip(chosen, respond(model, asked, sampler, limit, stops), strict=True)
    return [found[place] for place in range(len(prompts))]


class Greedy:
    """A model that writes down what it finds likeliest."""

    def __init__(self, path: Path, stops: Sequence[int]) -> None:
        self._model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
        self._stops = list(stops)

    def respond(self, prompts: Sequence[list[int]], limit: int, rows: int = 64) -> list[list[int]]:
        """A response for each prompt, without the token that ended it."""
        seeds = [0] * len(prompts)
        written = by_length(self._model, prompts, seeds, 0.0, limit, self._stops, rows)
        return [ids[:-1] if ids[-1] in self._stops else ids for ids, _ in written]


def measure(file: Path, scope_name: str, count: int, limit: int = 320) -> dict[str, float]:
    """Accuracies and tokens on `count` stories of the validation split."""
    pair, scope = load_pair(file), SCOPES[scope_name]
    drawn = stories(Random(f"measure/{scope_name}"), scope, "validation")
    told = [next(drawn) for _ in range(count)]
    teacher = Teacher(pair, scope)
    return _reasoner(pair, told, teacher, limit) | _decoder(pair, told, teacher)


def _reasoner(pair: Pair, told: list[Story], teacher: Teacher, limit: int) -> dict[str, float]:
    prompts = PairPrompts(pair)
    reasoner = Greedy(pair.reasoner.path, prompts.end_of_text)
    responses = reasoner.respond([prompts.reasoner(s.question) for s in told], limit)
    texts = [prompts.response_text(response) for response in responses]
    decoder = Greedy(pair.decoder.path, prompts.end_of_answer)
    guided = [
        prompts.guided(s.question, prompts.signal(r)) for s, r in zip(told, responses, strict=True)
    ]
    answers = [prompts.answer_text(r) for r in decoder.respond(guided, 48)]
    figures = {
        "reasoner": _right(texts, told),
        "reasoner_tokens": sum(len(response) + 1 for response in responses) / len(told),
        "signal_tokens": sum(len(prompts.signal(r)) for r in responses) / len(told),
        "split": _right(answers, told),
    }
    for style, name in ((traces.VERBOSE, "verbose"), (traces.SHORT, "short")):
        # Forced into a style by its first tokens, as far as those tell.
        begun = [[*prompts.reasoner(s.question), *teacher.signal(_begin(s, style))] for s in told]
        texts = [prompts.response_text(r) for r in reasoner.respond(begun, limit)]
        figures[f"reasoner_{name}"] = _right(texts, told)
    return figures


def _begin(story: Story, style: traces.TraceStyle) -> str:
    return "We" if style.restated else str(story.steps[0].left)


def _decoder(pair: Pair, told: list[Story], teacher: Teacher) -> dict[str, float]:
    prompts = PairPrompts(pair)
    decoder = Greedy(pair.decoder.path, prompts.end_of_answer)

    def accuracy(asked: list[list[int]]) -> float:
        texts = [prompts.answer_text(response) for response in decoder.respond(asked, 48)]
        return _right(texts, told)

    figures = {
        "decoder_alone": accuracy([prompts.alone(s.question) for s in told]),
        "decoder_empty": accuracy([prompts.guided(s.question, []) for s in told]),
    }
    styles = ("verbose", "equations", "short", "results")
    for name in styles:
        style = getattr(traces, name.upper())
        asked = [prompts.guided(s.question, teacher.signal(traces.trace(s, style))) for s in told]
        figures[f"decoder_{name}"] = accuracy(asked)
    return figures


def _right(texts: Sequence[str], told: Sequence[Story]) -> float:
    boxes = [traces.answer(story).rsplit("\\boxed", 1)[1] for story in told]
    return sum(
        text.endswith(f"\\boxed{box}") for text, box in zip(texts, boxes, strict=True)
    ) / len(told)
