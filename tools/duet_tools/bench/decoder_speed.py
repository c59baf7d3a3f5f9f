"""Answer tokens a second on the device, against llama.cpp's benchmark loop and llama-cpp-python."""

import time
from collections.abc import Iterable, Iterator, Sequence

from llama_cpp import Llama

from duet_contract.manifest import Decoder as Description
from duet_contract.prompts import encode_text, prompt_ids
from duet_device.decoder.generation import Generation
from duet_device.decoder.llama import Decoder
from duet_tools.bench.bare_llama import BareLlama
from duet_tools.bench.bench import Bench
from duet_tools.bench.stats import ratios, summarise
from duet_tools.results.figures import Figure, Series, Target
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
    description = bench.workload.manifest.decoder
    with Decoder(bench.workload.gguf, bench.threads) as decoder:
        decoder.reserve(CONTEXT)
        bare, default = (
            BareLlama(bench.workload.gguf, bench.threads, CONTEXT, like_device=like_device)
            for like_device in (True, False)
        )
        library = Llama(
            str(bench.workload.gguf),
            n_ctx=CONTEXT,
            n_threads=bench.threads,
            n_threads_batch=bench.threads,
            verbose=False,
        )
        try:
            yield from _measure(bench, decoder, description, bare, default, library)
        finally:
            library.close()
            default.close()
            bare.close()


def _measure(
    bench: Bench,
    decoder: Decoder,
    description: Description,
    bare: BareLlama,
    default: BareLlama,
    library: Llama,
) -> Iterator[Figure]:
    story, told = _long_story(bench, decoder, description)
    task = _prompt(decoder, description, _SUM)
    # In a pair's answer, much of the signal comes back: reason first, then answer behind it.
    reasoned = [*task, *_generate(decoder, task)]
    named = ("plain", "bare", "default", "library", "lookup", "behind")
    speeds: dict[str, list[float]] = {name: [] for name in named}
    guessed = accepted = answered = 0
    for repeat in range(bench.repeats + 1):
        measured = {"plain": _paced(_start(decoder, story, prompt_lookup=False))}
        bench.step("decoder, plain")
        measured["bare"] = bare.tokens_per_s(story, told[: TOKENS - 1])
        bench.step("decoder, llama.cpp's loop")
        measured["default"] = default.tokens_per_s(story, told[: TOKENS - 1])
        bench.step("decoder, llama.cpp's loop as llama.cpp has it")
        measured["library"] = _paced(_library_tokens(library, story, len(told)))
        bench.step("decoder, llama-cpp-python")
        measured["behind"] = _paced(_start(decoder, reasoned, prompt_lookup=False))
        bench.step("decoder, answer behind a signal")
        guessing = _start(decoder, reasoned, prompt_lookup=True)
        measured["lookup"] = _paced(guessing)
        bench.step("decoder, the same with prompt lookup")
        if repeat:
            for name, value in measured.items():
                speeds[name].append(value)
            guessed, accepted = guessing.guesses
            answered = len(decoder.ids) - len(reasoned)
    yield _figure("bare", "Decoder, plain", "llama.cpp's benchmark loop", speeds["plain"],
                  speeds["bare"], TARGET, {"tokens": len(told)})  # fmt: skip
    yield _figure("default", "Decoder, plain", "the same loop, llama.cpp's flash attention",
                  speeds["plain"], speeds["default"], None, {"tokens": len(told)})  # fmt: skip
    yield _figure("library", "Decoder, plain", "llama-cpp-python", speeds["plain"],
                  speeds["library"], TARGET, {"tokens": len(told)})  # fmt: skip
    yield _figure("drafting", "Decoder, prompt lookup, answer behind a signal", "the same without",
                  speeds["lookup"], speeds["behind"], None,
                  {"tokens guessed": guessed, "of them right": accepted,
                   "tokens answered": answered})  # fmt: skip


def _figure(
    name: str,
    title: str,
    peer: str,
    mine: Sequence[float],
    theirs: Sequence[float],
    target: Target | None,
    details: dict[str, float],
) -> Figure:
    return Figure(
        id=f"decoder.{name}",
        title=title,
        unit="tokens/s",
        subject=Series(name="DUET decoder", summary=summarise(mine)),
        peer=Series(name=peer, summary=summarise(theirs)),
        judged=ratios(mine, theirs),
        judged_unit="ratio",
        target=target,
        details=details,
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


def _library_tokens(library: Llama, prompt: Sequence[int], count: int) -> Iterator[int]:
    library.reset()
    tokens = library.generate(list(prompt), temp=0.0)
    for _ in range(count):
        yield next(tokens)


def _paced(tokens: Iterable[int]) -> float:
    """Return tokens per second from the first token to the last, without the prompt's time."""
    first = last = 0.0
    count = 0
    for _ in tokens:
        last = time.perf_counter()
        first = first or last
        count += 1
    return (count - 1) / (last - first)
