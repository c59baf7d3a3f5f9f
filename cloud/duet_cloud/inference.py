"""`duet.v1.InferenceService`: one question in, its signal out in chunks."""

import math
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from duet_cloud import logs
from duet_cloud.admission import RequestSlot
from duet_cloud.chunks import ChunkBuffer
from duet_cloud.engine import Job, Step
from duet_cloud.errors import EngineError
from duet_cloud.identity.callers import CALLER
from duet_cloud.identity.quotas import Charge
from duet_cloud.log_limit import LogLimit
from duet_cloud.long_texts import LONG, LongTexts
from duet_cloud.metrics import Metrics
from duet_cloud.read_ahead import read_ahead
from duet_cloud.reasoner import PairReasoner
from duet_cloud.request_limits import MAX_REQUEST_ID, RequestLimits
from duet_cloud.routing import Route, Routes, Serving
from duet_cloud.signal_prefix import prefix_ids
from duet_cloud.status import Context, Refusal, invalid, unavailable
from duet_cloud.tracing import IDENTITY, OUTCOME, QuestionSpan, question_span
from duet_contract.channels import ASKED_BEFORE
from duet_contract.encodings import negotiate
from duet_contract.errors import EncodingError, PromptError
from duet_contract.prompts import MOST_BYTES_PER_TOKEN
from duet_contract.v1 import inference_pb2_grpc
from duet_contract.v1.inference_pb2 import (
    FINISH_REASON_BUDGET,
    FINISH_REASON_END_OF_REASONING,
    SIGNAL_ENCODING_TEXT,
    ReasonRequest,
    ReasonResponse,
    SignalEncoding,
    SignalEnd,
)

# Lines a minute about requests of one device that ended alike and never ran.
_LINES_EACH = 10


@dataclass(frozen=True)
class ChunkLimits:
    """How chunks are buffered; `duet_cloud.options.ServeOptions` has the defaults."""

    tokens: int
    """Most tokens in a chunk."""
    ms: float
    """Maximum time a token is buffered before it is sent, in milliseconds."""

    def buffer(self, encoding: SignalEncoding.ValueType, request: ReasonRequest) -> ChunkBuffer:
        """Return the buffer of a signal; its request may ask for smaller chunks."""
        most = self.tokens
        if request.HasField("chunk_tokens"):
            most = min(most, request.chunk_tokens)
        return ChunkBuffer(encoding, most, self.ms)


@dataclass(frozen=True)
class _Asked:
    """A request while it is served."""

    request: ReasonRequest
    """As it came."""
    request_id: str
    """The device's, or one of ours."""
    arrived: float
    """When it came, on the monotonic clock."""
    identity: str
    """Name of the device; "" without transport security."""
    span: QuestionSpan
    """Traces it."""
    done: SignalEnd = field(default_factory=SignalEnd)
    """The last message, filled in meanwhile; `prompt_tokens` is 0 until the engine has it."""


class InferenceService(inference_pb2_grpc.InferenceServiceServicer):
    """Reasons over questions, each with the pair that it names.

    Args:
        routes: the pairs that are served.
        metrics: of the service.
        chunk_limits: how signals are cut into chunks.
        charge: charges a job to its caller while it runs, `Charge.spent` counting its tokens;
            raises `Refusal` if the caller has too few tokens left.
        log_questions: whether the log contains questions.
    """

    def __init__(
        self,
        routes: Routes,
        metrics: Metrics,
        chunk_limits: ChunkLimits,
        charge: Callable[[Job], AbstractAsyncContextManager[Charge]],
        log_questions: bool = False,
    ) -> None:
        self._routes = routes
        self._metrics = metrics
        self._chunk_limits = chunk_limits
        self._charge = charge
        self._log_questions = log_questions
        self._log_limit = LogLimit(_LINES_EACH)
        self._long_texts = LongTexts()

    # The stubs have generators alone; gRPC serves coroutines that write to the context, too.
    async def Reason(  # type: ignore[override]  # noqa: N802 (gRPC's name)
        self, request: ReasonRequest, context: Context
    ) -> None:
        """See inference.proto."""
        with question_span(context) as span:
            await self._serve(request, context, span)

    async def _serve(self, request: ReasonRequest, context: Context, span: QuestionSpan) -> None:
        caller = CALLER.get()
        asked = _Asked(
            request,
            request.request_id or uuid.uuid4().hex,
            time.monotonic(),
            caller.name if caller else "",
            span,
        )
        outcome, reason, pair, most_logged = "cancelled", "", "", 0
        try:
            route = self._routes.find(request.pair)
            pair = route.name
            most_logged = route.pair.manifest.limits.question * MOST_BYTES_PER_TOKEN
            await self._reason(route, asked, context)
            outcome = "ok"
        except Refusal as refusal:
            outcome, reason = refusal.code.name.lower(), refusal.reason
            raise
        except EngineError as error:
            outcome, reason = "unavailable", "engine"
            raise unavailable(str(error), 2.0, reason) from error
        except Exception:
            # A fault of the program, for which gRPC reports UNKNOWN and logs a traceback.
            outcome = "unknown"
            raise
        finally:
            # "cancelled" is cancelled by the device, past its deadline, or a device that is gone:
            # gRPC does not say which. The engine's request is aborted by now.
            seconds = time.monotonic() - asked.arrived
            self._metrics.requests.labels(pair, outcome, reason).inc()
            self._metrics.total_s.labels(pair).observe(seconds)
            span.set({OUTCOME: outcome} | ({IDENTITY: asked.identity} if caller else {}))
            more: dict[str, Any] | None = {}
            if not asked.done.prompt_tokens:
                # It cost the engine nothing, so that nothing bounds how many there are.
                more = self._log_limit.admit(outcome, asked.identity)
            if more is not None:
                if self._log_questions:
                    # Cut, as what was refused may be as long as a message can be.
                    more["question"] = request.question[:most_logged]
                if caller:
                    more["device"] = asked.identity
                if asked.done.prefix_tokens:
                    more["prefix_tokens"] = asked.done.prefix_tokens
                logs.get().info(
                    "reasoned",
                    request_id=asked.request_id[:MAX_REQUEST_ID],
                    pair=pair,
                    outcome=outcome,
                    signal_tokens=asked.done.signal_tokens,
                    ms=round(seconds * 1000, 1),
                    peer=context.peer(),
                    **more,
                )

    async def _reason(self, route: Route, asked: _Asked, context: Context) -> None:
        """Write the signal."""
        # A malformed request is refused at once: only generating waits for a slot. The text that
        # is tokenised is bounded in bytes by then.
        request = asked.request
        limits = route.ready().limits
        limits.check(request)
        prepare = partial(_prepare, route.pair, request, asked.request_id, limits)
        if len(request.question) + len(request.signal_prefix.text) < LONG:
            encoding, job = prepare()
        else:
            # More of them than the service takes would be refused in the end.
            most = route.admission.max_running + route.admission.max_waiting
            encoding, job = await self._long_texts.run(asked.identity, most, prepare)
        # The engine may have been loaded again meanwhile.
        serving = route.ready()
        done = asked.done
        done.encoding = encoding
        done.pair = "" if request.pair == route.name else route.name
        done.request_id = "" if request.request_id else asked.request_id
        done.prefix_tokens = job.prefix_tokens
        if job.prefix_tokens:
            self._metrics.of(route.name).continuations.inc()
        elif ASKED_BEFORE in tuple(context.invocation_metadata() or ()):
            self._metrics.of(route.name).fallbacks.inc()
        if job.budget == 0:
            # The device holds the whole signal: its link was cut before the last message.
            done.finish_reason = FINISH_REASON_BUDGET
            await context.write(ReasonResponse(end=done))
            return
        asked.span.served(route.name, asked.request_id, job.budget)
        job = replace(job, trace=asked.span.headers())
        async with (
            serving.watch.request(),
            route.admission.admit(asked.request_id, asked.identity) as slot,
        ):
            done.queue_ms = (time.monotonic() - asked.arrived) * 1000
            # A device that reads slowly holds no slot: the slot ends with generation.
            messages = read_ahead(self._generate(route, serving, job, asked, slot))
            async with aclosing(messages):
                async for message in messages:
                    await context.write(message)

    async def _generate(
        self, route: Route, serving: Serving, job: Job, asked: _Asked, slot: RequestSlot
    ) -> AsyncGenerator[ReasonResponse]:
        """Yield the signal's messages; release the slot before the last one."""
        done, metrics = asked.done, self._metrics.of(route.name)
        odds: list[float] = []
        buffer = self._chunk_limits.buffer(done.encoding, asked.request)
        made_at: float | None = None
        async with self._charge(job) as charge:
            # Counted before the first token, too: the engine has computed the prompt by then.
            charge.spent = done.prompt_tokens = len(job.prompt_ids)
            generated = serving.engine.generate(job)
            async with serving.watch.generating(), aclosing(generated) as steps:
                async for step in steps:
                    now = serving.watch.progressed = time.monotonic()
                    charge.spent += len(step.ids)
                    done.signal_tokens += len(step.ids)
                    odds += step.log_probabilities
                    buffer.add(step.ids, step.text, now)
                    if step.finish is None and not buffer.due(now):
                        continue
                    if step.finish is not None:
                        _finish(done, step, odds)
                    chunk = buffer.take()
                    if chunk is None:
                        continue
                    if made_at is None:
                        metrics.first_chunk_s.observe(now - asked.arrived)
                    else:
                        metrics.chunk_gap_s.observe(now - made_at)
                    made_at = now
                    message = ReasonResponse(chunk=chunk)
                    metrics.chunks.inc()
                    metrics.sent_bytes.inc(message.ByteSize())
                    yield message
            # Before the charge ends, which may wait for the database.
            slot.release()
        asked.span.ended(done)
        last = ReasonResponse(end=done)
        metrics.ended(last, route.pair.manifest.reasoner_alone_tokens)
        yield last


def _prepare(
    pair: PairReasoner, request: ReasonRequest, request_id: str, limits: RequestLimits
) -> tuple[SignalEncoding.ValueType, Job]:
    """Make a request that `RequestLimits.check` let pass a job.

    Raises:
        Refusal: for whatever is wrong with it.
    """
    try:
        encoding = negotiate(
            request.encodings, request.vocabulary, pair.manifest.reasoner.vocabulary
        )
    except EncodingError as error:
        raise invalid("encodings", str(error)) from error
    try:
        question_ids = pair.encode_question(request.question)
    except PromptError as error:
        raise invalid("question", str(error)) from error
    limits.check_question_tokens(len(question_ids))
    budget = request.budget if request.HasField("budget") else limits.default_budget
    prefix = prefix_ids(pair, request.signal_prefix, encoding, budget)
    return encoding, Job(
        request_id=request_id,
        prompt_ids=pair.prompt(question_ids) + prefix,
        prefix_tokens=len(prefix),
        budget=budget - len(prefix),
        stop_id=pair.stop_id,
        temperature=(
            request.temperature if request.HasField("temperature") else limits.default_temperature
        ),
        seed=request.seed if request.HasField("seed") else None,
        text=encoding == SIGNAL_ENCODING_TEXT,
        odds=request.odds,
    )


def _finish(done: SignalEnd, step: Step, odds: Sequence[float]) -> None:
    """Fill in how generation ended, how long its phases took, and how probable the signal was."""
    if odds:
        done.least_log_probability = min(odds)
        done.mean_log_probability = math.fsum(odds) / len(odds)
    done.finish_reason = (
        FINISH_REASON_BUDGET if step.finish == "length" else FINISH_REASON_END_OF_REASONING
    )
    done.cached_tokens = step.cached_tokens
    done.queue_ms += max(0.0, step.scheduled_at - step.queued_at) * 1000
    done.prefill_ms = max(0.0, step.first_token_at - step.scheduled_at) * 1000
    done.decode_ms = max(0.0, step.last_token_at - step.first_token_at) * 1000
