"""A run: every condition in turn, with what must run for it."""

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from duet_device.errors import DeviceError
from duet_device.pairs.pair import Pair
from duet_tools.errors import BenchError
from duet_tools.link.profiles import link_named
from duet_tools.results.conditions import Condition, Plan, sweep_between
from duet_tools.results.folder import ConditionWindow, Folder, WireProbe
from duet_tools.results.questions import QuestionRow
from duet_tools.results.record import failed
from duet_tools.split import load, probe
from duet_tools.split.checking import Check
from duet_tools.split.endpoint import OpenAIModel
from duet_tools.split.energy import EnergyMeter
from duet_tools.split.link_pool import LinkPool
from duet_tools.split.modes.base import Mode, ModeSettings, Reply
from duet_tools.split.modes.large import LargeAlone, LargeAloneService, Truncated
from duet_tools.split.modes.live import Auto, DeviceAlone
from duet_tools.split.modes.openai import connect, tell_link_from_cloud
from duet_tools.split.modes.split import Split
from duet_tools.split.servers import Servers
from duet_tools.subjects.workload import Workload

if TYPE_CHECKING:
    from duet_device.decoder.llama import Decoder

_PROBED = 3


@dataclass
class Measurement:
    """One run."""

    plan: Plan
    """Which conditions to measure."""
    common: ModeSettings
    """Settings of every question."""
    workload: Workload
    """Pair and prompts."""
    pair: Pair
    """The pair, as the device loads it."""
    decoder: "Decoder | None"
    """The pair's decoder; None: no mode needs it."""
    servers: Servers
    """Addresses of the servers, or what starts them."""
    pool: LinkPool
    """Process that opens the links."""
    questions: Sequence[QuestionRow]
    """Questions of each condition."""
    check: Check | None
    """Judges answers; None: the data has no reference answers."""
    folder: Folder
    """Folder of the results."""
    warm_up: int
    """Number of questions of a condition that are asked before and do not count."""
    sweep_steps: int
    """Number of rates in a sweep."""
    say: Callable[[str], None]
    """Called with a line about the present work."""
    step: Callable[[int], None]
    """Called with the number of further questions that are done."""
    stopped: str | None = None
    """Why the run ended early; None: it did not."""
    _modes: dict[tuple[str, int | None, bool], Mode] = field(default_factory=dict)
    """Modes that were made, by what distinguishes them."""

    def run(self) -> str | None:
        """Measure every condition that is not measured yet; return why it ended early, if it did.

        Raises:
            BenchError: what a condition needs cannot be started. What was measured is in the folder.
        """
        try:
            for condition in self._conditions():
                self._measure(condition)
                if self.stopped:
                    break
        except KeyboardInterrupt:
            self.stopped = "interrupted"
        except BenchError as error:
            # What was measured before is worth a report; where there is nothing, the error is.
            if not self.folder.records:
                raise
            self.stopped = str(error)
        finally:
            self.servers.stop()
        return self.stopped

    def _conditions(self) -> Iterator[Condition]:
        conditions = self.plan.conditions()
        yield from conditions
        if self.plan.profile == "sweep":
            speeds = {condition.id: self._questions_per_s(condition) for condition in conditions}
            for slow, fast in itertools.pairwise(conditions):
                if slow.streams == 1 and (fast.mode, fast.link) == (slow.mode, slow.link):
                    ends = speeds[slow.id], speeds[fast.id]
                    yield from sweep_between(slow, *ends, self.sweep_steps)

    def _questions_per_s(self, condition: Condition) -> float:
        answered = sum(
            record.ok for record in self.folder.records if record.condition == condition.id
        )
        seconds = sum(each.seconds for each in self.folder.windows if each.condition == condition)
        return answered / seconds if seconds else 0.0

    def _measure(self, condition: Condition) -> None:
        there = self.folder.asked(condition)
        self.step(len(there))
        missing = [each for each in enumerate(self.questions) if each[0] not in there]
        if not missing:
            return
        target, openai = self._target(condition)
        mode = self._mode(condition, openai)
        link = link_named(condition.link)
        self.say(condition.id)
        work = load.Load(condition, mode, target, link, self.common.seed, self.pool)
        if self.common.connections.kept:
            work.connect = (
                functools.partial(connect, server=openai, common=self.common)
                if openai
                else self.common.connect_cloud
            )
        load.warm_up(work, list(enumerate(map(_warm_up_question, range(self.warm_up)))))
        work.tell = lambda _: self.step(1)
        meter = EnergyMeter()
        # A run that is resumed continues the condition's clock.
        before = sum(each.seconds for each in self.folder.windows if each.condition == condition)
        outcome = load.run(work, missing)
        self.common.connections.close()
        for each in outcome.asked:
            each.record.at_s += before
        joules = meter.joules()
        if outcome.asked:
            self.folder.add_window(
                ConditionWindow(condition=condition, seconds=outcome.seconds, joules=joules)
            )
        if outcome.interrupted:
            self.stopped = "interrupted"
        elif outcome.died:
            self.stopped = f"the server could not be reached any more, in {condition.id}{self.servers.why_gone()}"
        kept = self._keep(condition, outcome.asked)
        if kept < len(outcome.asked):
            # Questions that are asked again take time again: subtract their share of this period.
            share = 1 - kept / len(outcome.asked)
            back = {source: -share * spent for source, spent in joules.items()}
            self.folder.add_window(
                ConditionWindow(condition=condition, seconds=-share * outcome.seconds, joules=back)
            )

    def _keep(self, condition: Condition, asked: Sequence[Reply]) -> int:
        """Complete and check each answer, and store its record.

        Returns the number of stored records.
        """
        kept = 0
        if any(each.later for each in asked):
            self.say(f"{condition.id}, the device's part")
        try:
            for each in asked:
                self._finish(condition, each)
                self.folder.add(each.record)
                kept += 1
        except KeyboardInterrupt:
            # Again: what has no answer yet is asked again when the run is resumed.
            self.stopped = "interrupted"
        return kept

    def _finish(self, condition: Condition, asked: Reply) -> None:
        record = asked.record
        # An interrupted run does not wait where the answer exists already.
        hurry = self.stopped == "interrupted" and record.device == "live"
        if record.ok and asked.later and not hurry:
            try:
                asked.later()
            except DeviceError as error:
                record.status, record.message = failed(error).status, str(error)
        if record.ok and asked.requests:
            tell_link_from_cloud(record, link_named(condition.link), asked.requests)
        if record.ok and self.check:
            answer = record.value or record.answer
            record.correct = self.check(answer, self.questions[record.index])

    def _target(self, condition: Condition) -> tuple[str | None, OpenAIModel | None]:
        """Return the address of the server that a condition asks; the OpenAI server, if it is that."""
        if condition.mode == "device-alone":
            self.servers.stop()
            return None, None
        if condition.mode in ("duet", "auto", "large-alone-service"):
            address = self.servers.service()
            if self.folder.probe is None:
                self._probe(address, condition)
            return address, None
        openai = self.servers.openai()
        return openai[0].address, openai

    def _probe(self, address: str, condition: Condition) -> None:
        self.say("bytes of a connection and of a token")
        handshake = None
        with contextlib.suppress(BenchError, DeviceError):
            handshake = probe.handshake_bytes(self.pool, address, self.common)
        budget = condition.budget or self.common.manifest.defaults.budget
        costs = probe.bytes_per_token(
            self.pool, address, self.common, self.questions[:_PROBED], budget
        )
        self.folder.keep_probe(
            WireProbe(
                handshake_up=handshake.up if handshake else None,
                handshake_down=handshake.down if handshake else None,
                bytes_per_token=costs,
            )
        )

    def _mode(self, condition: Condition, openai: OpenAIModel | None) -> Mode:
        key = (condition.mode, condition.budget, condition.live)
        if key not in self._modes:
            self._modes[key] = self._make(condition, openai)
        return self._modes[key]

    def _make(self, condition: Condition, openai: OpenAIModel | None) -> Mode:
        if condition.mode == "large-alone":
            assert openai is not None
            return LargeAlone(self.common, self.workload, openai)
        if condition.mode == "large-alone-service":
            return LargeAloneService(self.common, self.workload)
        if condition.mode == "truncated":
            assert condition.budget is not None
            assert openai is not None
            return Truncated(self.common, self.workload, openai, condition.budget)
        assert self.decoder is not None
        if condition.mode == "device-alone":
            return DeviceAlone(self.common, self.pair, self.decoder)
        assert condition.budget is not None
        if condition.mode == "auto":
            return Auto(self.common, self.pair, self.decoder, condition.budget)
        return Split(self.common, self.pair, self.decoder, condition.budget, live=condition.live)


def needs_decoder(plan: Plan) -> bool:
    """Return whether any of the modes runs the small model."""
    return bool({"duet", "auto", "device-alone"} & set(plan.modes))


def _warm_up_question(number: int) -> QuestionRow:
    return QuestionRow(id=f"warm-up-{number}", text=f"What is {number + 11} plus {number + 30}?")
