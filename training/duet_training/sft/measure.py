"""What a start is worth before joint training: greedy answers to held-out stories."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

from duet_training.data.story_problems import traces
from duet_training.data.story_problems.draw import SCOPES, stories
from duet_training.data.story_problems.story import Story
from duet_training.export.hub_model import HubModel
from duet_training.pair.description import Pair, load_pair
from duet_training.pair.prompting import PairPrompts
from duet_training.sft.examples import Teacher

# Tokens of a response.
LIMIT = 320


def measure(file: Path, scope_name: str, count: int) -> dict[str, float]:
    """Accuracies and tokens on `count` stories of the validation split."""
    pair, scope = load_pair(file), SCOPES[scope_name]
    drawn = stories(Random(f"measure/{scope_name}"), scope, "validation")
    told = [next(drawn) for _ in range(count)]
    teacher = Teacher(pair, scope)
    return _reasoner(pair, told, teacher) | _decoder(pair, told, teacher)


def _reasoner(pair: Pair, told: list[Story], teacher: Teacher) -> dict[str, float]:
    prompts = PairPrompts(pair)
    reasoner = HubModel(pair.reasoner.path)
    asked = [prompts.reasoner(s.question) for s in told]
    responses = _written(reasoner, asked, LIMIT, prompts.end_of_text)
    texts = [prompts.response_text(response) for response in responses]
    decoder = HubModel(pair.decoder.path)
    guided = [
        prompts.guided(s.question, prompts.signal(r)) for s, r in zip(told, responses, strict=True)
    ]
    answers = [prompts.answer_text(r) for r in _written(decoder, guided, 48, prompts.end_of_answer)]
    figures = {
        "reasoner": _right(texts, told),
        "reasoner_tokens": sum(len(response) + 1 for response in responses) / len(told),
        "signal_tokens": sum(len(prompts.signal(r)) for r in responses) / len(told),
        "split": _right(answers, told),
    }
    for style, name in ((traces.VERBOSE, "verbose"), (traces.SHORT, "short")):
        # Forced into a style by its first tokens, as far as those tell.
        begun = [[*prompts.reasoner(s.question), *teacher.signal(_begin(s, style))] for s in told]
        written = _written(reasoner, begun, LIMIT, prompts.end_of_text)
        texts = [prompts.response_text(response) for response in written]
        figures[f"reasoner_{name}"] = _right(texts, told)
    return figures


def _written(
    model: HubModel, prompts: Sequence[list[int]], limit: int, stops: Sequence[int]
) -> list[list[int]]:
    """Responses without the token that ended them."""
    written = model.greedy(prompts, limit, stops, 64)
    return [ids[:-1] if ids[-1] in stops else ids for ids in written]


def _begin(story: Story, style: traces.TraceStyle) -> str:
    return "We" if style.restated else str(story.steps[0].left)


def _decoder(pair: Pair, told: list[Story], teacher: Teacher) -> dict[str, float]:
    prompts = PairPrompts(pair)
    decoder = HubModel(pair.decoder.path)

    def accuracy(asked: list[list[int]]) -> float:
        written = _written(decoder, asked, 48, prompts.end_of_answer)
        return _right([prompts.answer_text(response) for response in written], told)

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
