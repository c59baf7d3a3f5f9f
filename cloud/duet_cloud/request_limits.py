"""Limits in force, and the checks that refuse what exceeds them; nothing is ever cut to fit."""

from dataclasses import dataclass

from duet_cloud.errors import UsageError
from duet_cloud.status import invalid
from duet_contract.errors import PromptError
from duet_contract.manifest import Manifest
from duet_contract.prompts import MOST_BYTES_PER_TOKEN, check_question
from duet_contract.sampling import TEMPERATURE_RULE, valid_temperature
from duet_contract.v1.inference_pb2 import ReasonRequest

MAX_REQUEST_ID = 128
_MAX_ENCODINGS = 32


@dataclass(frozen=True)
class RequestLimits:
    """Limits of a request, and values that apply where it sets none."""

    question_tokens: int
    """Largest question in tokens."""
    budget: int
    """Largest budget in tokens."""
    default_budget: int
    """Budget in tokens of a request that sets none."""
    default_temperature: float
    """Sampling temperature of a request that sets none."""

    @property
    def question_bytes(self) -> int:
        """Bytes beyond which a question is not even tokenised."""
        return self.question_tokens * MOST_BYTES_PER_TOKEN

    @classmethod
    def of(cls, manifest: Manifest, prompt_overhead: int, max_context: int) -> "RequestLimits":
        """Return the pair's limits, lowered to what the engine's context holds.

        `prompt_overhead`: tokens of the prompt around the question.

        Raises:
            UsageError: the context is too small for any question.
        """
        room = max_context - prompt_overhead
        question = min(manifest.limits.question, room // 2)
        budget = min(manifest.limits.budget, room - question)
        if question < 1 or budget < 1:
            raise UsageError(
                f"a context of {max_context} tokens holds no question: raise --max-model-len"
            )
        return cls(
            question_tokens=question,
            budget=budget,
            default_budget=min(manifest.defaults.budget, budget),
            default_temperature=manifest.defaults.temperature,
        )

    def check(self, request: ReasonRequest) -> None:
        """Check what can be checked without tokenising.

        Raises:
            Refusal: INVALID_ARGUMENT naming field and limit.
        """
        size = len(request.question.encode("utf-8"))
        if size > self.question_bytes:
            raise invalid("question", f"{size} bytes, the limit is {self.question_bytes}")
        try:
            check_question(request.question)
        except PromptError as error:
            raise invalid("question", str(error)) from error
        if request.HasField("budget") and not 1 <= request.budget <= self.budget:
            raise invalid("budget", f"{request.budget} tokens, it must be from 1 to {self.budget}")
        if request.HasField("temperature") and not valid_temperature(request.temperature):
            raise invalid("temperature", f"{request.temperature:g}: {TEMPERATURE_RULE}")
        if request.HasField("seed") and request.seed >= 2**63:
            raise invalid("seed", f"{request.seed}, it must be below 2^63")
        if request.HasField("chunk_tokens") and request.chunk_tokens < 1:
            raise invalid("chunk_tokens", "0 tokens, it must be 1 or more")
        if len(request.encodings) > _MAX_ENCODINGS:
            raise invalid("encodings", f"{len(request.encodings)}, the limit is {_MAX_ENCODINGS}")
        if len(request.request_id) > MAX_REQUEST_ID:
            raise invalid("request_id", f"longer than {MAX_REQUEST_ID} characters")

    def check_question_tokens(self, tokens: int) -> None:
        """Check the tokenised question.

        Raises:
            Refusal: INVALID_ARGUMENT naming the limit.
        """
        if tokens > self.question_tokens:
            raise invalid("question", f"{tokens} tokens, the limit is {self.question_tokens}")
