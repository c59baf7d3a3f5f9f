"""The device's part behind a load, the folder of a run, energy, and the counting relay."""

import json
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from duet_contract.manifest import Manifest
from duet_contract.v1.inference_pb2 import (
    FINISH_REASON_BUDGET,
    FINISH_REASON_END_OF_REASONING,
    SIGNAL_ENCODING_TEXT,
    SIGNAL_ENCODING_TOKEN_IDS,
    SignalChunk,
    SignalEnd,
    TokenIds,
)
from duet_device.errors import CloudUnreachable
from duet_tools.errors import UsageProblem
from duet_tools.results.conditions import Condition
from duet_tools.results.folder import ConditionWindow, Folder
from duet_tools.results.record import Record
from duet_tools.results.settings import RunSettings
from duet_tools.split.energy import EnergyMeter
from duet_tools.split.link_pool import LinkPool
from duet_tools.split.modes import replayed
from duet_tools.split.modes.base import ModeSettings
from duet_tools.split.modes.replayed import Arrived, ReplayedDevice
from duet_tools.split.modes.split import add_saving
from tests.doubles.calibrations import calibration, threshold
from tests.doubles.decoder import ScriptedDecoder, answering, likely
from tests.doubles.tcp import read_all, serving


class SlowDecoder(ScriptedDecoder):
    """Takes a millisecond a token, on a clock of its own."""

    now_s = 0.0

    def evaluate(self, ids, **options):  # type: ignore[no-untyped-def]
        self.now_s += len(ids) / 1e3
        super().evaluate(ids, **options)


def arrived(*chunks: tuple[float, str], done_ms: float) -> Arrived:
    signal = "".join(text for _, text in chunks)
    return Arrived(
        tuple((at, SignalChunk(tokens=TokenIds(ids=text.encode()))) for at, text in chunks),
        SignalEnd(encoding=SIGNAL_ENCODING_TOKEN_IDS, signal_tokens=len(signal)),
        done_ms,
    )


def answer(device: ReplayedDevice, question: str, signal: Arrived) -> Record:
    record = Record()
    record.late_ms = device.answer(record, question, signal, 0)
    return record


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> SlowDecoder:
    made = SlowDecoder(answering("it is 7", " A:"))
    clock = SimpleNamespace(perf_counter=lambda: made.now_s)
    monkeypatch.setattr(replayed, "time", clock)
    monkeypatch.setattr("duet_device.attempt.time", clock)
    return made


@pytest.fixture
def device(decoder: SlowDecoder, manifest: Manifest) -> ReplayedDevice:
    return ReplayedDevice(decoder, ModeSettings(manifest, 64, 0.0, 0, 60.0, 5.0, 1))  # type: ignore[arg-type]


def test_a_pair_that_computes_is_asked_without_numbers_and_judged_by_its_value(
    manifest: Manifest,
) -> None:
    private = manifest.model_copy(update={"quantities": "private", "answers": "computed"})
    decoder = ScriptedDecoder(answering("She has {=} pens.", " A:"))
    device = ReplayedDevice(decoder, ModeSettings(private, 64, 0.0, 0, 60.0, 5.0, 1))  # type: ignore[arg-type]
    asked = "Ann has 3 pens and buys 4 more. How many pens has she?"
    answered = answer(device, asked, arrived((1.0, "a+b"), done_ms=2.0))
    assert (answered.value, answered.answer) == ("7", "She has 7 pens.")
    assert answered.low_confidence is False
    prompt = bytes(token for token in decoder.ids if token < 256)
    assert b"[a] pens and buys [b] more" in prompt


def test_what_arrives_late_is_waited_for_on_the_recorded_clock(device: ReplayedDevice) -> None:
    answered = answer(device, "What?", arrived((500.0, "a"), (900.0, "b" * 20), done_ms=901.0))
    assert answered.answer == "it is 7"
    # 20 tokens and the prompt's end behind the last chunk, a millisecond each.
    assert answered.first_answer_ms == pytest.approx(900 + 23)
    assert answered.total_ms > answered.first_answer_ms
    # Behind the last chunk at once: the whole signal and the prompt's end.
    assert answered.late_ms == pytest.approx(24)


def test_evaluating_begins_once_the_prompt_is_evaluated(device: ReplayedDevice) -> None:
    answered = answer(device, "What?" * 10, arrived((0.0, "abc"), done_ms=0.1))
    assert answered.prefix_ms == pytest.approx(len("Q:" + "What?" * 10 + " S:"))
    assert answered.first_answer_ms == pytest.approx(answered.prefix_ms + len("abc A:"))


@pytest.mark.parametrize("done_ms", [901.0, 1400.0])
def test_what_evaluating_on_arrival_saves_does_not_depend_on_when_the_end_comes(
    device: ReplayedDevice, done_ms: float
) -> None:
    signal = arrived((500.0, "a" * 20), (900.0, "b"), done_ms=done_ms)
    answered = answer(device, "What?", signal)
    record = Record(
        prefix_ms=answered.prefix_ms, signal_ms=900.0, first_answer_ms=answered.first_answer_ms
    )
    add_saving(record, answered.late_ms, done_ms)
    assert record.late_ms == pytest.approx(done_ms - 900 + 24)
    # All but the prompt's end was evaluated before the end came.
    assert record.saved_ms == pytest.approx(21, abs=1)


def test_the_sequence_is_what_a_live_device_evaluates(
    device: ReplayedDevice, decoder: SlowDecoder
) -> None:
    sequences = []
    decoder.follows = lambda ids: sequences.append(bytes(ids)) or 256  # type: ignore[func-returns-value]
    answer(device, "What?", arrived((1.0, "si"), (2.0, "gnal"), done_ms=3.0))
    assert sequences[0] == b"Q:What? S:signal A:"


def test_the_same_signal_of_the_same_question_is_answered_once(
    device: ReplayedDevice, decoder: SlowDecoder
) -> None:
    signal = arrived((1.0, "signal"), done_ms=2.0)
    first = answer(device, "What?", signal)
    evaluated = len(decoder.evaluations)
    again = answer(device, "What?", signal)
    assert (again.answer, again.late_ms) == (first.answer, first.late_ms)
    # The prompt before the signal, and the signal with what follows it; no answer.
    assert len(decoder.evaluations) == evaluated + 2


@pytest.mark.parametrize(
    ("confidence", "low"), [(None, None), (0.39, False), (0.4, False), (0.41, True)]
)
def test_an_answer_is_judged_where_a_device_judges_it(
    decoder: SlowDecoder, manifest: Manifest, confidence: float | None, low: bool | None
) -> None:
    judged: list[bytes] = []
    decoder.odds = lambda: judged.append(bytes(decoder.ids)) or [likely(0.4)]  # type: ignore[func-returns-value]
    defaults = manifest.defaults.model_copy(update={"confidence": confidence})
    pair = manifest.model_copy(update={"defaults": defaults})
    device = ReplayedDevice(decoder, ModeSettings(pair, 64, 0.0, 0, 60.0, 5.0, 1))  # type: ignore[arg-type]
    signal = arrived((1.0, "signal"), done_ms=2.0)
    # The second time it is not generated again.
    first, again = (answer(device, "What?", signal) for _ in range(2))
    assert first.answer == "it is 7"
    assert (first.low_confidence, again.low_confidence) == (low, low)
    assert bool(judged) == (confidence is not None)


@pytest.mark.parametrize(("at_least", "low"), [(0.3, False), (0.5, True)])
def test_a_calibrated_pair_marks_as_its_calibration_says(
    decoder: SlowDecoder, manifest: Manifest, at_least: float, low: bool
) -> None:
    decoder.odds = lambda: [likely(0.4)]
    fitted = calibration(mark=threshold("least_probability", at_least))
    asking = ModeSettings(manifest, 64, 0.0, 0, 60.0, 5.0, 1)
    device = ReplayedDevice(decoder, asking, fitted)  # type: ignore[arg-type]
    assert answer(device, "What?", arrived((1.0, "s"), done_ms=2.0)).low_confidence is low


@pytest.mark.parametrize(
    ("signal", "reason", "low"),
    [
        ("3+4=7", FINISH_REASON_END_OF_REASONING, False),
        ("3+5=8", FINISH_REASON_END_OF_REASONING, True),
        ("3+5=8", FINISH_REASON_BUDGET, False),
    ],
)
def test_an_answer_that_is_not_the_signals_result_is_marked(
    decoder: SlowDecoder, manifest: Manifest, signal: str, reason: int, low: bool
) -> None:
    decoder.odds = lambda: [likely(1.0)]
    defaults = manifest.defaults.model_copy(update={"confidence": 0.5})
    pair = manifest.model_copy(update={"defaults": defaults})
    device = ReplayedDevice(decoder, ModeSettings(pair, 64, 0.0, 0, 60.0, 5.0, 1))  # type: ignore[arg-type]
    came = arrived((1.0, signal), done_ms=2.0)
    came.done.finish_reason = reason  # type: ignore[assignment]
    answered = answer(device, "What?", came)
    assert answered.answer == "it is 7"
    assert answered.low_confidence is low


def test_a_signal_that_cannot_be_read_is_told(device: ReplayedDevice) -> None:
    broken = Arrived(
        ((1.0, SignalChunk(text="text")),),
        SignalEnd(encoding=SIGNAL_ENCODING_TOKEN_IDS, signal_tokens=1),
        2.0,
    )
    with pytest.raises(CloudUnreachable, match="cannot be read"):
        answer(device, "What?", broken)
    text = Arrived(
        ((1.0, SignalChunk(text="two words")),),
        SignalEnd(encoding=SIGNAL_ENCODING_TEXT, signal_tokens=2),
        2.0,
    )
    assert answer(device, "What?", text).answer == "it is 7"


def settings(**changes: object) -> RunSettings:
    given = {
        "pair": "p@1.0.0", "data": "d", "data_sha256": "0", "questions": 3, "modes": ("duet",),
        "links": ("none",), "profile": "synchronous", "streams": (1,), "rates": (),
        "budgets": (16,), "large_limit": 1, "answer_limit": 1, "temperature": 0.0, "seed": 0,
        "warm_up": 0, "verifier": "v", "tls": False, "started_here": False, "engine_flags": (),
        **changes,
    }  # fmt: skip
    return RunSettings.model_validate(given)


def test_a_folder_gives_back_what_was_put_in(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run", settings(), resume=False)
    condition = Condition(mode="duet", link="none", budget=16, streams=1)
    folder.add(
        Record(
            condition=condition.id, index=1, id="a", answer="x", total_ms=3.0, low_confidence=False
        )
    )
    folder.add(Record(condition=condition.id, index=2, id="b", status="unreachable"))
    folder.add_window(ConditionWindow(condition=condition, seconds=2.0, joules={"package-0": 4.0}))
    again = Folder(tmp_path / "run", settings(), resume=True)
    # A question whose server was unreachable is asked again.
    assert again.asked(condition) == {1}
    assert again.records == folder.records[:1]
    assert again.windows == folder.windows
    # As earlier versions named the file.
    (tmp_path / "run" / "windows.jsonl").rename(tmp_path / "run" / "stretches.jsonl")
    assert Folder(tmp_path / "run", settings(), resume=True).windows == folder.windows
    assert not (tmp_path / "run" / "stretches.jsonl").exists()


@pytest.mark.parametrize("torn", [b'{"condition": "c", "ind', '{"answer": "h\u00e4'.encode()[:-1]])
def test_a_line_cut_off_by_a_kill_is_left_out_and_the_next_one_is_whole(
    torn: bytes, tmp_path: Path
) -> None:
    folder = Folder(tmp_path / "run", settings(), resume=False)
    folder.add(Record(condition="c", index=0))
    with (tmp_path / "run" / "questions.jsonl").open("ab") as file:
        file.write(torn)
    again = Folder(tmp_path / "run", settings(), resume=True)
    assert [record.index for record in again.records] == [0]
    again.add(Record(condition="c", index=1))
    again.add(Record(condition="c", index=2))
    third = Folder(tmp_path / "run", settings(), resume=True)
    assert [record.index for record in third.records] == [0, 1, 2]


def test_an_answer_may_hold_every_end_of_a_line(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run", settings(), resume=False)
    folder.add(Record(condition="c", index=0, answer="a\u2028b\u2029c\u0085d\ne\x1ef\r"))
    folder.add(Record(condition="c", index=1))
    assert Folder(tmp_path / "run", settings(), resume=True).records == folder.records


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run", settings(), resume=False)
    with (tmp_path / "run" / "questions.jsonl").open("ab") as file:
        file.write(b'{"condition": "c"\n')
    folder.add(Record(condition="c", index=1))
    with pytest.raises(UsageProblem, match="line 1, cannot be read: take it out"):
        Folder(tmp_path / "run", settings(), resume=True)


def test_folders_that_hold_something_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(UsageProblem, match="is not a folder"):
        Folder(tmp_path / "file", settings(), resume=False)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").write_text("", "utf-8")
    with pytest.raises(UsageProblem, match="holds no run to resume"):
        Folder(tmp_path / "other", settings(), resume=True)
    (tmp_path / "other" / "run.json").write_text("{}", "utf-8")
    with pytest.raises(UsageProblem, match="holds no run of this bench"):
        Folder(tmp_path / "other", settings(), resume=True)


def test_energy_is_read_by_package_and_survives_a_counter_that_starts_anew(tmp_path: Path) -> None:
    def zone(zone_name: str, **files: object) -> Path:
        path = tmp_path / zone_name
        path.mkdir(exist_ok=True)
        for file, value in files.items():
            (path / file).write_text(f"{value}\n", "utf-8")
        return path

    wrapped = zone("intel-rapl:0", name="package-0", energy_uj=9e6, max_energy_range_uj=10e6)
    plain = zone("intel-rapl:1", name="package-1", energy_uj=1e6, max_energy_range_uj=10e6)
    zone("intel-rapl:0:0", name="core", energy_uj=1)
    meter = EnergyMeter(tmp_path)
    (wrapped / "energy_uj").write_text("2000000", "utf-8")
    (plain / "energy_uj").write_text("4500000", "utf-8")
    found = {name: value for name, value in meter.joules().items() if "gpu" not in name}
    assert found == {"package-0": pytest.approx(3.0), "package-1": pytest.approx(3.5)}


def test_energy_of_gpus_is_read_where_their_module_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    millijoules = {0: 1000.0, 1: 5000.0}

    def energy(handle: int) -> float:
        if handle == 1 and millijoules[1] > 5000:
            raise OSError("fell off the bus")
        return millijoules[handle]

    nvml = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=int,
        nvmlDeviceGetTotalEnergyConsumption=energy,
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    meter = EnergyMeter(tmp_path)
    millijoules[0] += 2500
    assert meter.joules() == {"gpu-0": 2.5, "gpu-1": 0.0}
    # One that stops telling is left out.
    millijoules[1] += 1
    assert meter.joules() == {"gpu-0": 2.5}


def test_no_energy_is_no_error(tmp_path: Path) -> None:
    assert not [name for name in EnergyMeter(tmp_path / "none").joules() if "gpu" not in name]


def twice(connection: socket.socket) -> None:
    """Answers with twice what was sent, once that is all there."""
    connection.sendall(read_all(connection) * 2)


def test_links_in_their_own_process_pass_and_count() -> None:
    from duet_tools.link.profiles import link_named

    with serving(twice) as target, LinkPool() as pool:
        for link in ("none", "lan"):
            with pool.open(target, link_named(link), seed=1) as way:
                port = int(way.address.split(":")[1])
                with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
                    client.sendall(json.dumps({"a": 1}).encode())
                    client.shutdown(socket.SHUT_WR)
                    assert client.recv(100)
                way.settle(0.0)
                assert (way.taken().up, way.taken().up) == (8, 0)
