"""A few stages of the experiments run in minutes: directions with a margin, no figures.

The tiny pair learns the form of its answers and nothing of the problems, so what is shown is that
the start learns, that its signals shorten under the length penalty, and that the report tells of both.
"""

from itertools import chain

import pytest

from duet_training.experiments.plan import REDUCED, make_plan
from duet_training.experiments.rates import RATES, stage_of
from duet_training.experiments.results import Results
from tests.doubles.commands import train_experiments as main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("experiments")
    done = Results(root / "results", root / "work")
    arguments = {stage.name: stage.arguments for stage in make_plan(REDUCED)}
    for rate in RATES:
        # The reduced scale has a rate of its own: which one is chosen changes nothing.
        curves = {
            "validation/accuracy": [[1, 0.0]],
            "validation/response_tokens": [[1, 96.0]],
            "tokens/response": [[1, 96.0]],
        }
        name = stage_of("duet", rate)
        tried = {"stage": name, "kind": "train", "seed": 0, "why": "", "arguments": arguments[name]}
        samples: dict[str, list[object]] = {"first": [], "last": []}
        result = {"steps": 1, "curves": curves, "samples": samples}
        done.write(name, tried | {"minutes": 0.0, "whole": True, "result": result})
    where = ["--results", str(done.directory), "--work", str(done.work)]
    where += ["--to", str(root / "EXPERIMENTS.md"), "--scale", "reduced", "--jobs", "1"]
    # Evaluations are other tests' (`test_the_whole_loop`, and the plan's own).
    names = ("start", "duet-0")
    with pytest.MonkeyPatch.context() as patch:
        # As on one core: of models so small, threads wait for each other ten times as long as they
        # compute.
        patch.setattr("duet_training.experiments.runner.os.sched_getaffinity", lambda _: {0})
        assert main([*where, *chain.from_iterable(("--only", name) for name in names)]) == 0
    return done


def test_the_start_learns(results):
    log = (results.work / "logs" / "start.log").read_text()
    losses = {
        role: [float(line.split()[3]) for line in log.splitlines() if line.startswith(role)]
        for role in ("reasoner", "decoder")
    }
    for role, seen in losses.items():
        assert seen[-1] < 0.85 * seen[0], role


def test_signals_shorten_under_the_price(results):
    curves = results.read("duet-0")["result"]["curves"]
    lengths = curves["tokens/length"]
    assert [step for step, _ in lengths] == list(range(1, REDUCED.steps + 1))
    assert lengths[-1][1] < 0.5 * lengths[0][1]
    # On questions that it was not trained on, too, and not to nothing.
    ((step, held_out),) = curves["validation/response_tokens"]
    assert step == REDUCED.steps
    assert 1 < held_out < 0.5 * lengths[0][1]


def test_the_report_tells_what_was_run_and_what_was_not(results):
    report = (results.directory.parent / "EXPERIMENTS.md").read_text()
    count = len(make_plan(REDUCED))
    assert f"of {count} stages were run" in report
    missing = report.split("**Not run yet**:")[1].split("\n")[0]
    assert "`lgrpo-0`" in missing
    assert "`duet-0`" not in missing
