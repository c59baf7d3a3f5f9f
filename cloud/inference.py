"""`duet.v1.InferenceService`: one question in, its signal out in pieces."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from cloud import logs
from cloud.admission import Admission
from cloud.engine import Engine, Job, Step
from cloud.errors import EngineError
from cloud.limits import RequestLimits
from cloud.metrics import Metrics
from cloud.pieces import PieceGatherer
from cloud.reasoner import PairReasoner
from cloud.status import Context, Refusal, invalid, mismatch, unavailable
from duet_contract.encodings import negotiate
from duet_contract.errors import EncodingError, PromptError
from duet_contract.v1 import inference_pb2_grpc
from duet_contract.v1.inference_pb2 import (
    FINISH_REASON_BUDGET,
    FINISH_REASON_END_OF_REASONING,
    SIGNAL_ENCODING_TEXT,
    Done,
    ReasonRequest,
    ReasonResponse,
    SignalEncoding,
)


@dataclass(frozen=True)
class Serving:
    """What the service serves with, once the engine is loaded."""

    engine: Engine
    limits: RequestLimits


@dataclass(frozen=True)
class Gathering:
    """How pieces are gathered: most tokens, longest wait in milliseconds."""

    tokens: int = 16
    ms: float = 500.0


class InferenceService(inference_pb2_grpc.InferenceServiceServicer):
    """Reasons over questions. `serving` is None until the engine is loaded."""

    def __init__(
        self,
        pair: PairReasoner,
        admission: Admission,
        metrics: Metrics,
        gathering: Gathering,
        log_questions: bool = False,
    ) -> None:
        self.serving: Serving | None = None
        self._pair = pair
        self._admission = admission
        self._metrics = metrics
        self._gathering = gathering
        self._log_questions = log_questions

    async def Reason(  # noqa: N802 (gRPC's name)
        self, request: ReasonRequest, context: Context
    ) -> AsyncIterator[ReasonResponse]:
        """See inference.proto."""
        arrived = time.monotonic()
        request_id = request.request_id or uuid.uuid4().hex
        outcome, signal_tokens = "cancelled", 0
        try:
            responses = self._reason(request, request_id, arrived)
            async with aclosing(responses) as stream:
                async for response in stream:
                    yield response
                    if response.HasField("done"):
                        signal_tokens = response.done.signal_tokens
            outcome = "ok"
        except Refusal as refusal:
            outcome = refusal.code.name.lower()
            await refusal.abort(context)
        except EngineError as error:
            outcome = "unavailable"
            await unavailable(str(error), 30.0).abort(context)
        except asyncio.CancelledError:
            # Cancelled, past its deadline, or the device is gone; gRPC does not say which, and the
            # engine's request is aborted already.
            raise
        finally:
            seconds = time.monotonic() - arrived
            self._metrics.requests.labels(outcome).inc()
            self._metrics.total_s.observe(seconds)
            question = {"question": request.question} if self._log_questions else {}
            logs.get().info(
                "reasoned",
                request_id=request_id,
                outcome=outcome,
                signal_tokens=signal_tokens,
                ms=round(seconds * 1000, 1),
                peer=context.peer(),
                **question,
            )

    async def _reason(
        self, request: ReasonRequest, request_id: str, arrived: float
    ) -> AsyncGenerator[ReasonResponse]:
        async with self._admission.admit(request_id):
            serving = self.serving
            if serving is None:
                raise unavailable("the service is loading its model", 5.0)
            encoding, job = self._prepare(request, request_id, serving.limits)
            started = time.monotonic()
            gatherer = PieceGatherer(encoding, self._gathering.tokens, self._gathering.ms)
            reference = self._pair.manifest.reference
            done = Done(
                encoding=encoding,
                prompt_tokens=len(job.prompt_ids),
                queue_ms=(started - arrived) * 1000,
                pair="" if request.pair == reference else reference,
                request_id="" if request.request_id else request_id,
            )
            first_piece = True
            async with aclosing(serving.engine.generate(job)) as steps:
                async for step in steps:
                    now = time.monotonic()
                    done.signal_tokens += len(step.ids)
                    gatherer.add(step.ids, step.text, now)
                    if step.finish is not None:
                        _finish(done, step)
                    if step.finish is not None or gatherer.due(now):
                        piece = gatherer.take()
                        if piece is not None:
                            if first_piece:
                                self._metrics.first_piece_s.observe(now - arrived)
                                first_piece = False
                            self._metrics.pieces.inc()
                            yield ReasonResponse(piece=piece)
            self._metrics.signal_tokens.observe(done.signal_tokens)
            if done.finish_reason == FINISH_REASON_BUDGET:
                self._metrics.budget_cuts.inc()
            yield ReasonResponse(done=done)

    def _prepare(
        self, request: ReasonRequest, request_id: str, limits: RequestLimits
    ) -> tuple[SignalEncoding.ValueType, Job]:
        """Checks a request and makes it a job.

        Raises:
            Refusal: for whatever is wrong with it.
        """
        limits.check(request)
        manifest = self._pair.manifest
        if request.pair and not manifest.matches(request.pair):
            raise mismatch(
                f"the device has a decoder of {request.pair}, this service reasons for "
                f"{manifest.reference}: give --pair {manifest.id}, or another server",
                device=request.pair,
                cloud=manifest.reference,
            )
        try:
            encoding = negotiate(
                request.encodings, request.vocabulary, manifest.reasoner.vocabulary
            )
        except EncodingError as error:
            raise invalid("encodings", str(error)) from error
        try:
            question_ids = self._pair.encode_question(request.question)
        except PromptError as error:
            raise invalid("question", str(error)) from error
        limits.check_question_tokens(len(question_ids))
        return encoding, Job(
            request_id=request_id,
            prompt_ids=self._pair.prompt(question_ids),
            budget=request.budget if request.HasField("budget") else limits.default_budget,
            stop_id=self._pair.stop_id,
            temperature=(
                request.temperature
                if request.HasField("temperature")
                else limits.default_temperature
            ),
            seed=request.seed if request.HasField("seed") else None,
            text=encoding == SIGNAL_ENCODING_TEXT,
        )


def _finish(done: Done, step: Step) -> None:
    """Fills in how generation ended and how long its parts took."""
    done.finish_reason = (
        FINISH_REASON_BUDGET if step.finish == "length" else FINISH_REASON_END_OF_REASONING
    )
    done.cached_tokens = step.cached_tokens
    done.queue_ms += max(0.0, step.scheduled_at - step.queued_at) * 1000
    done.prefill_ms = max(0.0, step.first_token_at - step.scheduled_at) * 1000
    done.decode_ms = max(0.0, step.last_token_at - step.first_token_at) * 1000
