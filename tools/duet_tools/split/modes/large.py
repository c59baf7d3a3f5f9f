"""The large model alone: it reasons and answers, and its whole answer crosses the link.

Through vLLM's OpenAI server on the same weights and engine flags, since DUET's service stops where
reasoning ends; and through the service itself where the end of reasoning is the end of the answer.
"""

import threading
from dataclasses import dataclass

from duet_contract.json_data import read_json
from duet_contract.manifest import SlotPart
from duet_contract.prompts import split_at_signal
from duet_contract.v1.inference_pb2 import SIGNAL_ENCODING_TEXT, ReasonRequest
from duet_device.settings import Settings
from duet_tools.errors import UsageProblem
from duet_tools.results.questions import QuestionRow
from duet_tools.results.record import Record, per_step
from duet_tools.split.endpoint import OpenAIModel
from duet_tools.split.modes.base import ModeSettings, Reply
from duet_tools.split.modes.openai import Completion, CompletionRequests
from duet_tools.split.modes.split import receive
from duet_tools.subjects.workload import Workload


@dataclass(frozen=True)
class LargeAlone:
    """Mode `large-alone`."""

    common: ModeSettings
    """Settings of every question."""
    workload: Workload
    """Pair and prompts."""
    server: OpenAIModel
    """The OpenAI server and its model."""

    def ask(self, question: QuestionRow, index: int, address: str, stop: threading.Event) -> Reply:
        """See `Mode`."""
        with CompletionRequests(address, self.server, self.common, index, stop) as requests:
            prompt = self.workload.prompt_text(question.text)
            said = requests.complete(prompt, self.common.large_limit)
        record = requests.record()
        return Reply(record, lambda: whole_answer(record, said, self.workload), requests=1)


class Truncated:
    """Mode `truncated`: the large model's reasoning is cut at a budget, then it answers itself.

    It sends two requests on one connection: for the reasoning, then for the answer after the text
    that the decoder's prompt puts after a signal.
    """

    def __init__(
        self, common: ModeSettings, workload: Workload, server: OpenAIModel, budget: int
    ) -> None:
        self._common = common
        self._workload = workload
        self._server = server
        # Read here, since a tokenizer is not to be used by several threads.
        self._stop_id = workload.stop_id
        self._budget = budget

    def ask(self, question: QuestionRow, index: int, address: str, stop: threading.Event) -> Reply:
        """See `Mode`."""
        manifest = self._workload.manifest
        prompt = self._workload.prompt_text(question.text)
        with CompletionRequests(address, self._server, self._common, index, stop) as requests:
            reasoned = requests.complete(prompt, self._budget, stop_id=self._stop_id)
            behind = prompt + reasoned.text + _behind_signal(self._workload)
            said = requests.complete(behind, manifest.defaults.answer)
        record = requests.record()
        record.signal, record.answer = reasoned.text, said.text
        record.finish = said.finish + ("+budget" if reasoned.finish == "limit" else "")
        record.signal_tokens, record.answer_tokens = reasoned.tokens, said.tokens
        record.first_signal_ms, record.signal_ms = reasoned.first_ms, reasoned.last_ms
        record.first_answer_ms, record.total_ms = said.first_ms, said.last_ms
        _add_large(record, self._workload, reasoned, said)
        record.cloud_step_ms = per_step(reasoned.first_ms, reasoned.last_ms, reasoned.tokens)
        return Reply(record, requests=2)


class LargeAloneService:
    """Mode `large-alone-service`, for pairs whose reasoning ends where the answer does."""

    def __init__(self, common: ModeSettings, workload: Workload) -> None:
        """Check that the pair's service can answer alone.

        Raises:
            UsageProblem: it stops at the end of reasoning, before the answer.
        """
        if not answers_in_reasoning(workload):
            raise UsageProblem(
                f"the service of {workload.manifest.id} stops where reasoning ends and never "
                "answers; --modes large-alone asks vLLM's OpenAI server"
            )
        self._common = common
        self._workload = workload

    def ask(self, question: QuestionRow, index: int, address: str, stop: threading.Event) -> Reply:
        """See `Mode`."""
        budget = min(self._common.large_limit, self._workload.manifest.limits.budget)
        settings = Settings(**self._common.of_split(index, address, budget))
        arrived, record = receive(question.text, self._common, settings, stop, _as_text)
        record.device = None
        record.answer = "".join(chunk.text for _, chunk in arrived.chunks)
        record.finish = "limit" if record.finish == "budget" else "end"
        record.answer_tokens, record.signal_tokens = record.signal_tokens, 0
        record.first_answer_ms = record.first_signal_ms
        record.first_signal_ms = record.signal_ms = None
        record.flops = 2.0 * self._workload.manifest.reasoner.parameters * record.large_tokens
        return Reply(record)


def _as_text(request: ReasonRequest) -> None:
    """There is no decoder that could read token ids."""
    del request.encodings[:]
    request.encodings.append(SIGNAL_ENCODING_TEXT)


def answers_in_reasoning(workload: Workload) -> bool:
    """Return whether the token that closes reasoning also ends the model's turn."""
    manifest = workload.manifest
    if manifest.reasoner.end_of_reasoning in manifest.decoder.end_of_answer:
        return True
    try:
        ends = read_json(workload.model / "generation_config.json").get("eos_token_id")
    except (OSError, ValueError):
        return False
    return workload.stop_id in (ends if isinstance(ends, list) else [ends])


def whole_answer(record: Record, said: Completion, workload: Workload) -> None:
    """Divide a completion into reasoning and answer, and write both into its record."""
    end = workload.manifest.reasoner.end_of_reasoning
    reasoning, closed, rest = said.text.partition(end)
    if answers_in_reasoning(workload):
        reasoning, rest = "", said.text
    elif not closed:
        rest = ""
    record.signal, record.answer, record.finish = reasoning.strip(), rest.strip(), said.finish
    record.answer_tokens = said.tokens
    record.first_answer_ms, record.total_ms = said.first_ms, said.last_ms
    if reasoning:
        record.answer_tokens = min(said.tokens, len(workload.tokenizer.encode_text(rest)))
        record.signal_tokens = said.tokens - record.answer_tokens
        record.first_signal_ms = said.first_ms
        ended = said.when(len(reasoning) + len(end))
        record.signal_ms = ended if closed else said.last_ms
        record.first_answer_ms = said.when(len(reasoning) + len(end) + 1) if rest else None
    _add_large(record, workload, said)
    record.cloud_step_ms = per_step(said.first_ms, said.last_ms, said.tokens)


def _add_large(record: Record, workload: Workload, *said: Completion) -> None:
    tokens = sum(each.tokens for each in said)
    record.large_tokens = tokens
    record.flops = 2.0 * workload.manifest.reasoner.parameters * tokens
    if all(each.times for each in said):
        times = zip(*(each.times for each in said), strict=True)
        record.queue_ms, record.prefill_ms, record.decode_ms = map(sum, times)
        record.cloud_s = (record.prefill_ms + record.decode_ms) / 1e3


def _behind_signal(workload: Workload) -> str:
    _, after = split_at_signal(workload.manifest.decoder.prompt_with_signal)
    return "".join("" if isinstance(part, SlotPart) else part.template for part in after)
