"""Answer a question in every way that the policy chooses among, and measure each."""

from collections.abc import Sequence
from dataclasses import dataclass

from duet_contract.answers import final_answer
from duet_contract.manifest import Manifest
from duet_device.calibration.rows import Outcome, Row, packed
from duet_device.client import Client
from duet_device.deadline import Deadline
from duet_device.decoder.llama import Decoder
from duet_device.decoder.prompts import Prompts, build_prompts
from duet_device.events import Result
from duet_device.policy.gate import Gate
from duet_device.policy.measures import Evidence, measures
from duet_device.policy.writer import Writer, Written
from duet_device.question import Question

# Parts of the signal after which the device could stop.
_PARTS = (0.25, 0.5, 0.75)
_SAMPLE_TEMPERATURE = 0.7
DRAFT = 8


@dataclass(frozen=True)
class Asked:
    """A question of the data."""

    id: str
    """Its id."""
    question: str
    """Its text."""
    answer: str | None
    """The reference; None without one."""
    signal: str | None = None
    """A signal that is there already; None asks the cloud for one."""


class Collector:
    """Records rows.

    Args:
        client: of the pair, with `decoder`; asks the cloud.
        decoder: the pair's.
        samples: signals to sample for each question in addition to the usual one, where the cloud
            is asked.
        budget: most tokens of a signal.
    """

    def __init__(self, client: Client, decoder: Decoder, samples: int, budget: int) -> None:
        self._client = client
        self._decoder = decoder
        self._manifest: Manifest = client.pair.manifest
        self._samples = samples
        self._budget = budget

    def row(self, asked: Asked, deadline: Deadline) -> Row:
        """Record a question.

        Raises:
            DeviceError: the question cannot be asked, or the cloud gives no signal.
        """
        manifest, decoder = self._manifest, self._decoder
        question = Question(asked.question).for_pair(manifest)
        question.check_size(manifest)
        if asked.signal is None:
            result = self._ask(question, deadline)
            ids, tokens = list(result.signal_ids), result.receipt.tokens.signal
            cut = result.receipt.finish.endswith("+budget")
        else:
            ids = decoder.encode_text(asked.signal)[: self._budget]
            tokens, cut = len(ids), False
        prompts = build_prompts(decoder, manifest, question, self._budget)
        writer = Writer(decoder, manifest, deadline.check)
        full = self._written(writer, prompts, question, ids, cut=cut)
        count = self._samples if asked.signal is None else 0
        samples = [self._sample(question, seed, deadline) for seed in range(1, count + 1)]
        stops = []
        for length in sorted({round(part * len(ids)) for part in _PARTS} - {0, len(ids)}):
            part = self._written(writer, prompts, question, ids[:length], cut=True)
            # The policy drafts as much and no more.
            draft = measures(Evidence(trace=part.trace[:DRAFT]))
            stops.append(Outcome(text=part.text, tokens=tokens * length / len(ids), measures=draft))
        gate = Gate(decoder, manifest, deadline.check)
        gate.read(question, self._budget)
        state = packed(gate.state())
        drafts = gate.drafts(two=True)
        writer.read(prompts.alone())
        alone = writer.write(question)
        values = (full.value, *(value for value, _ in samples))
        return Row(
            id=asked.id,
            question=asked.question,
            answer=asked.answer,
            pair=manifest.reference,
            decoder_sha256=manifest.decoder_sha256,
            alone=Outcome(text=alone.text, tokens=0, measures=drafts),
            state=state,
            stops=tuple(stops),
            full=Outcome(
                text=full.text,
                tokens=tokens,
                measures=measures(Evidence(trace=full.trace, values=values)),
            ),
            samples=tuple(outcome for _, outcome in samples),
        )

    def _ask(self, question: Question, deadline: Deadline, **changes: float) -> Result:
        return self._client.ask(
            question,
            deadline=deadline,
            budget=self._budget,
            route="cloud",
            require_cloud=True,
            **changes,  # type: ignore[arg-type]
        )

    def _sample(
        self, question: Question, seed: int, deadline: Deadline
    ) -> tuple[str | None, Outcome]:
        result = self._ask(question, deadline, temperature=_SAMPLE_TEMPERATURE, seed=seed)
        final = final_answer(result.answer)
        outcome = Outcome(text=result.answer, tokens=result.receipt.tokens.signal)
        return final.text if final else None, outcome

    def _written(
        self,
        writer: Writer,
        prompts: Prompts,
        question: Question,
        ids: Sequence[int],
        *,
        cut: bool,
    ) -> Written:
        writer.read([*prompts.prefix, *ids, *prompts.suffix])
        spelled = b"".join(self._decoder.detokenize(token, special=True) for token in ids)
        return writer.write(question, signal=spelled.decode("utf-8", "replace"), cut=cut)
