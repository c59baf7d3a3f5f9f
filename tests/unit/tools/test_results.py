"""The results file: written, read back, merged, judged."""

import json
import re
from pathlib import Path

import pytest

from duet_tools.errors import UsageProblem
from duet_tools.report.figures import markdown
from duet_tools.results.figures import Figure, Results, Target

ROOT = Path(__file__).parents[3]
RESULTS, COMMANDS = ROOT / "tools/duet_tools/results", ROOT / "docs/commands.md"


def test_results_survive_writing_and_reading(results: Results, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(results.to_json(), "utf-8")
    assert Results.read(path).to_json() == results.to_json()


def test_each_figure_keeps_the_commit_that_it_was_taken_at(
    results: Results, figure: Figure, tmp_path: Path
) -> None:
    path = tmp_path / "results.json"
    # A file of before figures had their own holds one commit for all.
    path.write_text(results.model_copy(update={"commit": "aaa"}).to_json(), "utf-8")
    old = Results.read(path)
    assert [each.commit for each in old.figures] == ["aaa"]
    new = figure.model_copy(update={"id": "bytes.ids-cold", "commit": "bbb"})
    merged = old.model_copy(update={"commit": "bbb"}).with_figures((new,))
    path.write_text(merged.to_json(), "utf-8")
    assert [each.commit for each in Results.read(path).figures] == ["aaa", "bbb"]


def test_file_says_whether_a_target_was_met(results: Results) -> None:
    assert json.loads(results.to_json())["figures"][0]["met"] is True


@pytest.mark.parametrize(
    ("comparison", "value", "met"),
    [("at least", 2.0, True), ("at least", 1.9, False), ("at most", 2.0, True),
     ("at most", 2.1, False)],
)  # fmt: skip
def test_targets(comparison: str, value: float, met: bool) -> None:
    target = Target.model_validate({"comparison": comparison, "value": 2.0})
    assert target.met_by(value) is met


def test_measuring_again_replaces_in_place_and_keeps_the_rest(
    results: Results, figure: Figure
) -> None:
    other = figure.model_copy(update={"id": "bytes.ids-cold"})
    again = figure.model_copy(update={"title": "measured again"})
    merged = results.with_figures((other,)).with_figures((again,))
    assert [each.id for each in merged.figures] == [figure.id, other.id]
    assert merged.figures[0].title == "measured again"


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "valid results file"), ("[]", "valid results file"), ("{}", "valid results file"),
     ('{"schema": 99}', "schema 99"), ('{"schema": 1, "figures": []}', "Field required")],
)  # fmt: skip
def test_other_files_are_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(text, "utf-8")
    with pytest.raises(UsageProblem, match=said) as caught:
        Results.read(path)
    assert "\n" not in str(caught.value)


def test_committed_results_can_be_read_and_name_no_machine() -> None:
    directory = Path(__file__).parents[3] / "tools/duet_tools/results"
    for path in directory.glob("split_*.json"):
        assert Results.read(path).figures
        text = path.read_text("utf-8")
        assert not any(private in text for private in ("/home/", "/root/", "/tmp/", "/work/"))


@pytest.mark.parametrize("name", ["split_cpu", "split_avx2", "tls_cost"])
def test_tables_of_committed_results_name_options_that_exist(name: str) -> None:
    table = markdown(Results.read(RESULTS / f"{name}.json"))
    options = set(re.findall(r"--[a-z][a-z-]+", table.split("Median over", 1)[0]))
    assert options <= set(re.findall(r"--[a-z][a-z-]+", COMMANDS.read_text("utf-8")))
    assert "kept connection" not in table
