"""Answer a question in every way that the policy chooses among, and measure each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from duet_contract.v1.inference_pb2 import SignalEnd
from duet_device.attempt import Attempt, judged_attempt
from duet_device.calibration.rows import Outcome, Row, packed
from duet_device.client import Client
from duet_device.deadline import Deadline
from duet_device.decoder.llama import Decoder
from duet_device.events import Result
from duet_device.exchange import Exchange
from duet_device.gate import Gate
from duet_device.policy.measures import comparable, measures
from duet_device.policy.readiness import readiness_along
from duet_device.question import Question
from duet_device.signal_stream import Signal

# The device looks at each chunk: here at every so many tokens, or a part of a long signal.
_CHUNK_TOKENS, _MOST_CHUNKS = 8, 16
_SAMPLE_TEMPERATURE = 0.7


@dataclass(frozen=True)
class DataQuestion:
    """A question of the data."""

    id: str
    """Its id."""
    question: str
    """Its text."""
    answer: str | None
    """The reference; None without one."""
    signal: str | None = None
    """A signal that exists already; None asks the cloud for one."""

    @property
    def signal_sha256(self) -> str | None:
        """SHA-256 of the signal that exists already."""
        if self.signal is None:
            return None
        # The text comes from JSON, which can hold half of a surrogate pair.
        return sha256(self.signal.encode("utf-8", "surrogatepass")).hexdigest()


class Collector:
    """Records rows.

    Args:
        client: of the pair, with `decoder`; asks the cloud, and reads signals to their end.
        decoder: the pair's.
        samples: signals to sample for each question in addition to the usual one, where the cloud
            is asked.
    """

    def __init__(self, client: Client, decoder: Decoder, samples: int) -> None:
        self._client = client
        self._decoder = decoder
        self._manifest = client.pair.manifest
        self._samples = samples
        self._budget = client.settings.budget_for(self._manifest)

    def row(self, asked: DataQuestion, deadline: Deadline) -> Row:
        """Record a question.

        Raises:
            DeviceError: the question cannot be asked, or the cloud gives no signal.
        """
        manifest, decoder = self._manifest, self._decoder
        question = Question(asked.question).for_pair(manifest)
        question.check_size(manifest)
        exchange = Exchange(question, manifest, self._client.settings, decoder, deadline)
        end = None
        if asked.signal is None:
            result = self._ask(question, deadline)
            end = result.timings.cloud
            ids, tokens = result.signal_ids, result.receipt.tokens.signal
            cut = result.receipt.finish.endswith("+budget")
        else:
            ids = tuple(decoder.encode_text(asked.signal)[: self._budget])
            tokens, cut = len(ids), False
        full = self._after(exchange, ids, tokens, cut=cut, end=end)
        count = self._samples if asked.signal is None else 0
        samples = [self._sample(question, seed, deadline) for seed in range(1, count + 1)]
        values = (comparable(full.value), *(comparable(value) for value, _ in samples))
        stops = self._stops(exchange, ids, tokens)
        gate = Gate(exchange)
        state, drafts = packed(gate.state()), gate.drafts(two=True)
        exchange.become(exchange.prompts.alone())
        alone = judged_attempt(exchange, None)
        return Row(
            id=asked.id,
            question=asked.question,
            answer=asked.answer,
            pair=manifest.reference,
            decoder_sha256=manifest.decoder_sha256,
            budget=self._budget,
            signal_sha256=asked.signal_sha256,
            alone=Outcome(
                text=alone.text, value=self._computed(alone.value), tokens=0, measures=drafts
            ),
            state=state,
            stops=tuple(stops),
            full=Outcome(
                text=full.text,
                value=self._computed(full.value),
                tokens=tokens,
                measures=measures(replace(full.evidence, values=values)),
                features=dict(full.features),
            ),
            samples=tuple(outcome for _, outcome in samples),
        )

    def _computed(self, value: str | None) -> str | None:
        """Return the value of an answer that the device computed; None of any other answer."""
        return value if self._manifest.answers == "computed" else None

    def _ask(self, question: Question, deadline: Deadline) -> Result:
        return self._client.ask(question, deadline=deadline, route="cloud", require_cloud=True)

    def _sample(
        self, question: Question, seed: int, deadline: Deadline
    ) -> tuple[str | None, Outcome]:
        result = self._client.ask(
            question,
            deadline=deadline,
            route="cloud",
            require_cloud=True,
            temperature=_SAMPLE_TEMPERATURE,
            seed=seed,
        )
        receipt = result.receipt
        return receipt.value, Outcome(
            text=receipt.answer,
            value=self._computed(receipt.value),
            tokens=receipt.tokens.signal,
        )

    def _stops(self, exchange: Exchange, ids: Sequence[int], tokens: int) -> list[Outcome]:
        """Return the answers from parts of a signal, as if the device had ended it there."""
        size = max(_CHUNK_TOKENS, -(-len(ids) // _MOST_CHUNKS))
        # Without the last part, where nothing is left to spare.
        chunks = [ids[start : start + size] for start in range(0, len(ids) - size, size)]
        prompts = exchange.prompts
        exchange.become(prompts.prefix, more=len(ids) + len(prompts.suffix))
        along = readiness_along(self._decoder, chunks, prompts.suffix, exchange.ends)
        evidence = [(length, measures(each)) for length, each in along]
        outcomes = []
        for length, found in evidence:
            spent = tokens * length / len(ids)
            one = self._after(exchange, ids[:length], round(spent), enough=True)
            outcomes.append(
                Outcome(
                    text=one.text,
                    value=self._computed(one.value),
                    tokens=spent,
                    measures=found,
                )
            )
        return outcomes

    def _after(
        self,
        exchange: Exchange,
        ids: Sequence[int],
        tokens: int,
        *,
        cut: bool = False,
        enough: bool = False,
        end: SignalEnd | None = None,
    ) -> Attempt:
        """Return the answer after a signal."""
        exchange.become([*exchange.prompts.prefix, *ids, *exchange.prompts.suffix])
        spelled = b"".join(self._decoder.detokenize(token, special=True) for token in ids)
        text = spelled.decode("utf-8", "replace")
        signal = Signal(text, tuple(ids), tokens, cut, enough=enough, done=end)
        return judged_attempt(exchange, signal)
