"""vLLM's `AsyncLLM` in this process: load, generate, abort, shut down."""

import asyncio
import json
import multiprocessing
import os
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from duet_cloud.engine_processes import PLUGIN, starting_processes
from duet_cloud.errors import EngineError
from duet_contract.errors import first_line

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from vllm.v1.engine.async_llm import AsyncLLM


BATCH_INVARIANT = "VLLM_BATCH_INVARIANT"
"""The environment variable that has vLLM compute each request alike in every batch."""
_DIED = "the engine died; vLLM's log on the server says why"
_POLL_S = 0.5
_WARM_UP_TOKENS = 64
# Far above what compiling kernels takes; no one watches an engine before it serves.
_WARM_UP_S = 300.0
# Until a process that was killed has ended.
_ENDS_S = 2.0
# Of a Unix socket's path (unix(7)), without vLLM's name of a socket: a slash and a UUID.
_MOST_DIRECTORY_BYTES = 107 - 37


@dataclass(frozen=True)
class Step:
    """One output of the engine. Times are in seconds on the engine's clock; 0 means unknown."""

    ids: list[int]
    """New tokens, without the closing token."""
    text: str
    """Their text; empty where the job asks for none."""
    log_probabilities: Sequence[float] = ()
    """Of the new tokens and the closing one; empty where the job asks for none."""
    finish: str | None = None
    """None while generation continues; "stop" (closing token) or "length" (budget)."""
    cached_tokens: int = 0
    """Prompt tokens that were in the prefix cache."""
    queued_at: float = 0.0
    """When the engine received the request."""
    scheduled_at: float = 0.0
    """When its prefill began."""
    first_token_at: float = 0.0
    """When the first token was generated."""
    last_token_at: float = 0.0
    """When the latest token was generated."""


@dataclass(frozen=True)
class Job:
    """One signal to generate."""

    request_id: str
    """Unique among requests in flight."""
    prompt_ids: list[int]
    """Token ids of the whole prompt, with the start of the signal that the device holds."""
    budget: int
    """Most tokens of the signal after that."""
    stop_id: int
    """The end-of-reasoning token."""
    temperature: float
    """Sampling temperature; 0 is greedy."""
    seed: int | None
    """Sampling seed; None leaves it to the engine."""
    text: bool
    """Whether the signal's text is wanted, too; detokenising costs time."""
    odds: bool = False
    """Whether the tokens' probabilities are wanted, too; they cost time."""
    prefix_tokens: int = 0
    """Tokens of the signal at the end of `prompt_ids`."""
    trace: Mapping[str, str] = field(default_factory=dict)
    """Headers of the trace that the engine's span belongs to; empty for none."""


class Engine(Protocol):
    """The engine as the service uses it; tests and the bench have scripted ones."""

    max_sequences: int
    """Most requests that it generates at a time."""
    max_context: int
    """Most tokens of prompt and signal together."""
    timeout_s: float
    """Seconds in which it always answers `check` or emits a token, unless it hangs."""

    def generate(self, job: Job) -> AsyncGenerator[Step]:
        """Generate; closing the iterator aborts the request in the engine at once."""

    async def check(self) -> None:
        """Return once the engine's core has answered a call.

        Raises:
            EngineError: the engine died.
        """

    def shutdown(self) -> None:
        """End the engine and every process it started."""


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
    """`Engine` on vLLM.

    Args:
        llm: vLLM's own.
        processes: those that it started.
    """

    def __init__(self, llm: "AsyncLLM", processes: "Sequence[BaseProcess]" = ()) -> None:
        self._llm = llm
        self._processes = processes
        self.max_sequences: int = llm.vllm_config.scheduler_config.max_num_seqs
        self.max_context: int = llm.vllm_config.model_config.max_model_len
        # A step on a processor can take many seconds.
        self.timeout_s = 60.0 if llm.vllm_config.device_config.device_type == "cpu" else 4.0

    @classmethod
    def load(
        cls, model: Path, arguments: dict[str, Any], max_context: int, name: str
    ) -> "VllmEngine":
        """Load a model directory; block until it is loaded.

        `arguments`: vLLM engine arguments by name. `max_context` applies where they set no
        `max_model_len`; `name` is what vLLM's metrics call the model.

        Raises:
            EngineError: vLLM refuses the model or the arguments; its own log says more.
        """
        # A service that receives questions sends no usage reports unless its operator wants that.
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        # The service tokenizes one text a call, which needs no threads of `tokenizers`; it would warn
        # of each fork of vLLM's after it had used them.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        _bound_socket_paths()
        if (chosen := os.environ.get("VLLM_PLUGINS")) is not None:
            # The operator chooses among other plugins; this one is the service's own.
            os.environ["VLLM_PLUGINS"] = ",".join(filter(None, {*chosen.split(","), PLUGIN}))
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
        _check_batch_invariance(current_platform)
        try:
            if current_platform.is_cpu():
                defaults |= _processor_defaults(model)
            before = multiprocessing.active_children()
            llm = AsyncLLM.from_engine_args(
                AsyncEngineArgs(**{**defaults, **arguments, "model": str(model)})
            )
            started = [each for each in multiprocessing.active_children() if each not in before]
            return cls(llm, started)
        except Exception as error:
            # vLLM raises anything from ValueError to RuntimeError here, after it has ended the
            # processes it had started.
            raise EngineError(f"vLLM cannot load {model}: {first_line(error)}") from error

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
            # 0 is the chosen token alone.
            logprobs=0 if job.odds else None,
            output_kind=RequestOutputKind.DELTA,
        )
        prompt = TokensPrompt(prompt_token_ids=job.prompt_ids)
        try:
            generated = self._llm.generate(
                prompt, sampling, job.request_id, trace_headers=job.trace or None
            )
            async with aclosing(generated) as outputs:
                async for output in outputs:
                    yield _step(output)
        except EngineDeadError as error:
            # vLLM's own words point to a stack trace, which a device does not see.
            raise EngineError(_DIED) from error
        except EngineGenerateError as error:
            raise EngineError(f"the engine failed: {error}") from error

    async def warm_up(self) -> None:
        """Generate once: what the engine sets up for that is not for the first question to wait for.

        Raises:
            EngineError: see `generate`; or it generates nothing in `_WARM_UP_S`.
        """
        if self.max_context < 3:
            # It holds no question, which the service says.
            return
        job = Job(
            request_id="warm-up",
            prompt_ids=[0] * min(_WARM_UP_TOKENS, self.max_context - 2),
            budget=2,
            stop_id=0,
            temperature=0.0,
            seed=None,
            text=False,
            # Devices ask for them, and vLLM compiles for them apart.
            odds=True,
        )
        try:
            async with asyncio.timeout(_WARM_UP_S), aclosing(self.generate(job)) as steps:
                async for _ in steps:
                    pass
        except TimeoutError as error:
            raise EngineError(f"the engine generated nothing within {_WARM_UP_S:g} s") from error

    async def check(self) -> None:
        """See `Engine`."""
        from vllm.v1.engine.exceptions import EngineDeadError

        # `is_paused` passes the busy loop of the engine's core; `check_health` does not.
        call = asyncio.ensure_future(self._llm.is_paused())
        try:
            # A core that dies leaves the call unanswered.
            while not (await asyncio.wait({call}, timeout=_POLL_S))[0]:
                if self._llm.errored:
                    raise EngineError(_DIED)
            if call.cancelled():
                # By the sockets to the core, which vLLM closes when it ends.
                raise EngineError(_DIED)
            call.result()
        except EngineDeadError as error:
            raise EngineError(_DIED) from error
        finally:
            call.cancel()

    def shutdown(self) -> None:
        """See `Engine`."""
        self._llm.shutdown()
        # vLLM kills a core that does not stop, and leaves it a zombie.
        for process in self._processes:
            process.join(_ENDS_S)


def _bound_socket_paths() -> None:
    """Have vLLM's sockets in /tmp where they do not fit the directory for temporary files."""
    if len(os.fsencode(tempfile.gettempdir())) > _MOST_DIRECTORY_BYTES:
        os.environ.setdefault("VLLM_RPC_BASE_PATH", "/tmp")  # noqa: S108  # nosec B108


def _check_batch_invariance(platform: Any) -> None:
    """Check that vLLM can compute each request alike in every batch, where that is wanted.

    Raises:
        EngineError: it cannot on this machine; on a processor it would not say so.
    """
    if os.environ.get(BATCH_INVARIANT, "0") in ("", "0"):
        return
    # Kernels of vLLM 0.32: `model_executor/determinism/batch_invariant.py`.
    nvidia = platform.is_cuda() and platform.has_device_capability(80)
    if not (nvidia or platform.is_rocm() or platform.is_xpu()):
        raise EngineError(
            "this machine has no batch invariance: it needs an NVIDIA GPU of compute capability 8.0 or "
            f"more, or an AMD or Intel GPU; leave out --batch-invariant, or unset {BATCH_INVARIANT}"
        )


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
        log_probabilities=[
            each[token].logprob
            for token, each in zip(completion.token_ids, completion.logprobs or (), strict=False)
        ],
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
    """`VllmEngine.load` in a thread, so that health checks are answered meanwhile; then warm it up.

    Raises:
        EngineError: vLLM refuses the model or the arguments, or cannot generate.
    """

    def load() -> VllmEngine:
        with starting_processes():
            return VllmEngine.load(model, arguments, max_context, name)

    engine = await asyncio.to_thread(load)
    try:
        await engine.warm_up()
    except BaseException:
        engine.shutdown()
        raise
    return engine
