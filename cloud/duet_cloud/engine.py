"""vLLM's `AsyncLLM` in this process: load, generate, abort, shut down."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from duet_cloud.errors import EngineError

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM


@dataclass(frozen=True)
class Step:
    """One output of the engine. Times are seconds on the engine's clock, 0 where unknown."""

    ids: list[int]
    """New tokens, without the closing token."""
    text: str
    """Their text; empty where the job asks for none."""
    finish: str | None = None
    """None while generation continues; "stop" (closing token) or "length" (budget)."""
    cached_tokens: int = 0
    """Prompt tokens that the prefix cache had."""
    queued_at: float = 0.0
    """When the engine received the request."""
    scheduled_at: float = 0.0
    """When its prefill began."""
    first_token_at: float = 0.0
    """When the first token was there."""
    last_token_at: float = 0.0
    """When the latest token was there."""


@dataclass(frozen=True)
class Job:
    """One signal to generate."""

    request_id: str
    """Unique among requests in flight."""
    prompt_ids: list[int]
    """Token ids of the whole prompt."""
    budget: int
    """Most tokens of the signal."""
    stop_id: int
    """The end-of-reasoning token."""
    temperature: float
    """Sampling temperature; 0 is greedy."""
    seed: int | None
    """Sampling seed; None leaves it to the engine."""
    text: bool
    """Whether the signal's text is wanted, too; detokenising costs time."""


class Engine(Protocol):
    """The engine as the service uses it; tests and the bench have scripted ones."""

    max_sequences: int
    max_context: int

    def generate(self, job: Job) -> AsyncGenerator[Step]:
        """Generates; closing the iterator aborts the request in the engine at once."""
        ...

    def healthy(self) -> bool:
        """Whether the engine can still take requests."""
        ...

    def shutdown(self) -> None:
        """Ends the engine and every process it started."""
        ...


def _processor_defaults(model: Path) -> dict[str, Any]:
    """Engine arguments that a processor is better served by than by vLLM's own defaults."""
    import torch

    # Compiling takes minutes there and gains little.
    defaults: dict[str, Any] = {"enforce_eager": True}
    config: dict[str, Any] = json.loads((model / "config.json").read_text("utf-8"))
    # One without instructions for bfloat16 emulates it: several requests at once take three times
    # as long as in float32. Kernels for quantised weights want the type that they were made for.
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported() and "quantization_config" not in config:
        defaults["dtype"] = "float32"
    return defaults


class VllmEngine:
    """`Engine` on vLLM."""

    def __init__(self, llm: "AsyncLLM") -> None:
        self._llm = llm
        self.max_sequences: int = llm.vllm_config.scheduler_config.max_num_seqs
        self.max_context: int = llm.vllm_config.model_config.max_model_len

    @classmethod
    def load(
        cls, model: Path, arguments: dict[str, Any], max_context: int, name: str
    ) -> "VllmEngine":
        """Loads a model directory; blocks for as long as that takes.

        `arguments`: vLLM engine arguments by name. `max_context` applies where they set no
        `max_model_len`; `name` is what vLLM's metrics call the model.

        Raises:
            EngineError: vLLM refuses the model or the arguments; its own log says more.
        """
        # A service that receives questions sends no usage reports unless its operator wants that.
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        try:
            from vllm.engine.arg_utils import AsyncEngineArgs
            from vllm.platforms import current_platform
            from vllm.v1.engine.async_llm import AsyncLLM
        except ImportError as error:
            raise EngineError(
                f"vLLM is not installed ({error}): pip install vllm==0.32.0 on a GPU host, "
                "or take the CPU lock in requirements/"
            ) from error
        defaults: dict[str, Any] = {"max_model_len": max_context, "served_model_name": name}
        try:
            if current_platform.is_cpu():
                defaults |= _processor_defaults(model)
            return cls(
                AsyncLLM.from_engine_args(
                    AsyncEngineArgs(**{**defaults, **arguments, "model": str(model)})
                )
            )
        except Exception as error:
            # vLLM raises anything from ValueError to RuntimeError here, after it has ended the
            # processes it had started.
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise EngineError(f"vLLM cannot load {model}: {reason[0]}") from error

    async def generate(self, job: Job) -> AsyncGenerator[Step]:
        """See `Engine`.

        Raises:
            EngineError: the engine died, or aborted the request.
        """
        from vllm import SamplingParams
        from vllm.inputs import TokensPrompt
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        sampling = SamplingParams(
            temperature=job.temperature,
            seed=job.seed,
            max_tokens=job.budget,
            stop_token_ids=[job.stop_id],
            # The closing token may be a special one, which the text then leaves out.
            skip_special_tokens=True,
            detokenize=job.text,
            output_kind=RequestOutputKind.DELTA,
        )
        prompt = TokensPrompt(prompt_token_ids=job.prompt_ids)
        try:
            async with aclosing(self._llm.generate(prompt, sampling, job.request_id)) as outputs:
                async for output in outputs:
                    yield _step(output)
        except (EngineDeadError, EngineGenerateError) as error:
            raise EngineError(f"the engine failed: {error}") from error

    def healthy(self) -> bool:
        """See `Engine`."""
        return not self._llm.errored

    def shutdown(self) -> None:
        """See `Engine`."""
        self._llm.shutdown()


def _step(output: Any) -> Step:
    completion = output.outputs[0]
    if completion.finish_reason not in (None, "stop", "length"):
        # An engine that is shut down aborts its requests; the device must not mistake the tokens so
        # far for a whole signal.
        raise EngineError(f"the engine aborted the request ({completion.finish_reason})")
    ids = list(completion.token_ids)
    if completion.finish_reason == "stop" and ids:
        ids.pop()  # the closing token, which vLLM counts as generated
    stats = output.metrics
    return Step(
        ids=ids,
        text=completion.text,
        finish=completion.finish_reason,
        cached_tokens=output.num_cached_tokens or 0,
        queued_at=getattr(stats, "queued_ts", 0.0),
        scheduled_at=getattr(stats, "scheduled_ts", 0.0),
        first_token_at=getattr(stats, "first_token_ts", 0.0),
        last_token_at=getattr(stats, "last_token_ts", 0.0),
    )


async def load_in_background(
    model: Path, arguments: dict[str, Any], max_context: int, name: str
) -> VllmEngine:
    """`VllmEngine.load` in a thread, so that health checks are answered meanwhile."""

    def load() -> VllmEngine:
        with _children_without_interrupt():
            return VllmEngine.load(model, arguments, max_context, name)

    return await asyncio.to_thread(load)


@contextmanager
def _children_without_interrupt() -> Iterator[None]:
    """Processes that this thread starts meanwhile, and theirs, do not notice SIGINT.

    Ctrl-C in a terminal reaches every process of the service. vLLM's would abort what they
    generate, when the service is to finish it; it ends them itself, with SIGTERM.
    """
    # Started later, it would unblock the signal again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
