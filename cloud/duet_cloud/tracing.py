"""OpenTelemetry spans of questions, between a device's and vLLM's; without their content.

Spans are exported where a tracer provider is set: by vLLM's `--otlp-traces-endpoint`, which sets one
for the process, or by `opentelemetry-instrument`. Otherwise they cost nothing. A device's
`traceparent` (W3C Trace Context) becomes the parent, and vLLM's span a child.

Names are those of the semantic conventions for generative AI, whose version is `SCHEMA`; names of
our own start with `duet.`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from duet_cloud.status import Context, Refusal
from duet_contract.v1.inference_pb2 import FinishReason, SignalEnd

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

try:
    from opentelemetry import propagate, trace
except ImportError:  # vLLM brings it; a service without vLLM has nothing to trace
    trace = None  # type: ignore[assignment]

# The last version before these names moved to conventions of their own.
SCHEMA = "https://opentelemetry.io/schemas/1.41.1"
# Of the conventions.
OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
MODEL = "gen_ai.request.model"
MOST_TOKENS = "gen_ai.request.max_tokens"
RESPONSE_ID = "gen_ai.response.id"
FINISH_REASONS = "gen_ai.response.finish_reasons"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
ERROR_TYPE = "error.type"
# Of our own.
OUTCOME = "duet.outcome"
QUEUE_MS = "duet.queue_ms"
PREFILL_MS = "duet.prefill_ms"
DECODE_MS = "duet.decode_ms"
IDENTITY = "duet.identity"
PREFIX_TOKENS = "duet.prefix_tokens"


_TRACER: "Tracer | None" = None
if trace is not None:
    # Made once, as the SDK's `get_tracer` is slow; it finds a provider that is set later.
    _TRACER = trace.get_tracer("duet_cloud", schema_url=SCHEMA)


class QuestionSpan:
    """The span of one question; does nothing where nothing is traced."""

    def __init__(self, span: "Span | None") -> None:
        self._span = span

    def served(self, pair: str, request_id: str, budget: int) -> None:
        """Note what is asked, once it is known."""
        self.set({MODEL: pair, RESPONSE_ID: request_id, MOST_TOKENS: budget})

    def ended(self, end: SignalEnd) -> None:
        """Note tokens and phases of a whole signal."""
        self.set(
            {
                INPUT_TOKENS: end.prompt_tokens,
                OUTPUT_TOKENS: end.signal_tokens,
                PREFIX_TOKENS: end.prefix_tokens,
                CACHED_TOKENS: end.cached_tokens,
                FINISH_REASONS: [_finish(end)],
                QUEUE_MS: end.queue_ms,
                PREFILL_MS: end.prefill_ms,
                DECODE_MS: end.decode_ms,
            }
        )

    def set(self, attributes: Mapping[str, Any]) -> None:
        """Set attributes."""
        if self._span:
            self._span.set_attributes(attributes)

    def headers(self) -> dict[str, str]:
        """Return what makes vLLM's span a child of this one; empty where nothing is traced.

        Also of a question that is left out by sampling: vLLM's would begin a trace of its own.
        """
        carrier: dict[str, str] = {}
        if self._span and self._span.get_span_context().is_valid:
            propagate.inject(carrier, trace.set_span_in_context(self._span))
        return carrier


@contextmanager
def question_span(context: Context) -> Iterator[QuestionSpan]:
    """Trace a question while it is served; refusals and failures are the span's status.

    Args:
        context: of the call, whose metadata may have a `traceparent`.
    """
    if _TRACER is None:
        yield QuestionSpan(None)
        return
    carrier = {
        key: value
        for key, value in context.invocation_metadata() or ()
        if key in ("traceparent", "tracestate") and isinstance(value, str)
    }
    parent = propagate.extract(carrier) if carrier else None
    attributes = {OPERATION: "reason", PROVIDER: "duet"}
    # Not the current span of a context variable: generators would carry it to other requests.
    span = _TRACER.start_span(
        "reason", context=parent, kind=trace.SpanKind.SERVER, attributes=attributes
    )
    try:
        yield QuestionSpan(span)
    except Refusal as refusal:
        span.set_attribute(ERROR_TYPE, refusal.code.name)
        span.set_status(trace.StatusCode.ERROR)
        raise
    except BaseException as error:
        span.set_attribute(ERROR_TYPE, type(error).__name__)
        span.set_status(trace.StatusCode.ERROR)
        raise
    finally:
        span.end()


def _finish(end: SignalEnd) -> str:
    return FinishReason.Name(end.finish_reason).removeprefix("FINISH_REASON_").lower()
