"""Answer tokens a second on the device, against llama.cpp's benchmark loop and llama-cpp-python."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import llama_cpp

from duet_contract.manifest import Decoder as Description
from duet_contract.prompts import encode_text, prompt_ids
from duet_device.decoder.generation import Generation
from duet_device.decoder.llama import Decoder, model_params
from duet_tools.bench.bare_llama import BareLlama
from duet_tools.bench.bench import Bench
from duet_tools.bench.stats import compared, in_turns
from duet_tools.errors import BenchError
from duet_tools.results.figures import Figure, Target
from duet_tools.subjects.workload import question

TOKENS = 160
CONTEXT = 1024
STORIES = 6
TARGET = Target(comparison="at least", value=0.97)
_SUM = (
    "Tom has 12 boxes with 24 pencils each. He gives 5 boxes to his school and 37 single pencils "
    "to his sister. How many pencils has he left?"
)


def steps(bench: Bench) -> int:
    """Return measurements that `measure` takes."""
    return 6 * (bench.repeats + 1)


def measure(bench: Bench) -> Iterator[Figure]:
    """Plain against both peers, and prompt lookup against plain."""
    description, gguf = bench.workload.manifest.decoder, bench.workload.gguf
    threads = bench.threads
    with (
        Decoder(gguf, threads) as decoder,
        closing(BareLlama(gguf, threads, CONTEXT, like_device=True)) as bare,
        closing(BareLlama(gguf, threads, CONTEXT, like_device=False)) as default,
        closing(_library(gguf, threads)) as library,
    ):
        decoder.reserve(CONTEXT)
        story, told = _long_story(bench, decoder, description)
        task = _prompt(decoder, description, _SUM)
        # In a pair's answer, much of the signal comes back: reason first, then answer.
        reasoned = [*task, *_generate(decoder, task)]
        last: dict[str, float] = {}

        def look_up() -> float:
            generation = _start(decoder, reasoned, prompt_lookup=True)
            speed = paced(generation)
            last["tokens guessed"], last["of them right"] = generation.guesses
            last["tokens answered"] = len(decoder.ids) - len(reasoned)
            return speed

        measures: dict[str, Callable[[], float]] = {
            "plain": lambda: paced(_start(decoder, story, prompt_lookup=False)),
            "bare": lambda: bare.tokens_per_s(story, told[: TOKENS - 1]),
            "default": lambda: default.tokens_per_s(story, told[: TOKENS - 1]),
            "library": lambda: paced(_library_tokens(library, story, len(told))),
            "behind": lambda: paced(_start(decoder, reasoned, prompt_lookup=False)),
            "lookup": look_up,
        }
        speeds = in_turns(bench.repeats, measures, lambda name: bench.step(f"decoder, {name}"))
        for name, peer, target in (
            ("bare", "llama.cpp's benchmark loop", TARGET),
            ("default", "the same loop, llama.cpp's flash attention", None),
            ("library", "llama-cpp-python", TARGET),
        ):
            yield _figure(
                name,
                "Decoder, plain",
                speeds["plain"],
                (peer, speeds[name]),
                target,
                tokens=len(told),
            )
        yield _figure(
            "drafting",
            "Decoder, prompt lookup, answer behind a signal",
            speeds["lookup"],
            ("the same without", speeds["behind"]),
            None,
            **last,
        )


def _library(gguf: Path, threads: int) -> llama_cpp.Llama:
    """Return the model in llama-cpp-python's own class, which cannot be given `model_params()`."""
    with patch.object(llama_cpp.llama_cpp, "llama_model_default_params", model_params):
        return llama_cpp.Llama(
            str(gguf), n_ctx=CONTEXT, n_threads=threads, n_threads_batch=threads, verbose=False
        )


def _figure(
    name: str,
    title: str,
    mine: Sequence[float],
    peer: tuple[str, Sequence[float]],
    target: Target | None,
    **details: float,
) -> Figure:
    subject = ("DUET decoder", mine)
    return compared(
        f"decoder.{name}", title, "tokens/s", subject, peer, target=target, details=details
    )


def _long_story(
    bench: Bench, decoder: Decoder, description: Description
) -> tuple[list[int], list[int]]:
    """Return a prompt and its greedy answer: the longest of a few, since timing needs length."""
    prompts = [
        _prompt(decoder, description, question(number)) for number in bench.fresh_numbers(STORIES)
    ]
    answers = [_generate(decoder, prompt) for prompt in prompts]
    longest = max(range(STORIES), key=lambda index: len(answers[index]))
    return prompts[longest], answers[longest]


def _prompt(decoder: Decoder, description: Description, text: str) -> list[int]:
    ids = encode_text(decoder, description.vocabulary, text)
    return prompt_ids(decoder, description.prompt_alone, question=ids)


def _start(decoder: Decoder, prompt: Sequence[int], *, prompt_lookup: bool) -> Generation:
    decoder.keep(0)
    decoder.evaluate(prompt)
    return Generation(decoder, ends=frozenset(), limit=TOKENS, prompt_lookup=prompt_lookup)


def _generate(decoder: Decoder, prompt: Sequence[int]) -> list[int]:
    return list(_start(decoder, prompt, prompt_lookup=False))


def _library_tokens(library: llama_cpp.Llama, prompt: Sequence[int], count: int) -> Iterator[int]:
    library.reset()
    tokens = library.generate(list(prompt), temp=0.0)
    for _ in range(count):
        yield next(tokens)


def paced(tokens: Iterable[int]) -> float:
    """Return tokens per second from the first token to the last, without the prompt's time.

    Raises:
        BenchError: there are fewer than two.
    """
    first = last = 0.0
    count = 0
    for _ in tokens:
        last = time.perf_counter()
        first = first or last
        count += 1
    if count < 2:
        raise BenchError(f"the decoder wrote {count} tokens, too few to time: give another --pair")
    return (count - 1) / (last - first)
