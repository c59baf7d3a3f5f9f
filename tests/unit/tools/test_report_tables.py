"""Tables from results, and the README that holds them."""

from pathlib import Path

import pytest

from tools.bench.errors import UsageProblem
from tools.bench.results import Results
from tools.report_tables import END, START, main, markdown, updated


@pytest.fixture
def file(results: Results, tmp_path: Path) -> Path:
    path = tmp_path / "results.json"
    path.write_text(results.to_json(), "utf-8")
    return path


def test_table_has_a_row_a_figure_and_says_where_it_was_measured(results: Results) -> None:
    lines = markdown(results).splitlines()
    assert lines[2] == (
        "| Throughput, 1 stream | 99.0 tokens/s (98.0 to 100) | 100 tokens/s, vLLM AsyncLLM "
        "| 0.99 (0.98 to 1.00) | at least 0.98 | yes |"
    )
    assert all(line.count("|") == 7 for line in lines[:3])
    assert "A Processor, 2 cores, 23.4 GiB" in lines[-1]


def test_only_what_is_between_the_marks_changes() -> None:
    text = f"before\n{START}\nold\n{END}\nafter\n"
    assert updated(text, "new\n") == f"before\n{START}\nnew\n{END}\nafter\n"


@pytest.mark.parametrize("text", ["", START, END, f"{END}\n{START}"])
def test_missing_marks_are_told(text: str) -> None:
    with pytest.raises(UsageProblem, match="no place for the table"):
        updated(text, "table")


def test_check_fails_until_updated(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"{START}\n{END}\n", "utf-8")
    assert main([str(file), "--update", str(readme), "--check"]) == 1
    assert "is stale" in capsys.readouterr().err
    assert readme.read_text("utf-8") == f"{START}\n{END}\n"
    assert main([str(file), "--update", str(readme)]) == 0
    assert main([str(file), "--update", str(readme), "--check"]) == 0
    assert "A Processor" in readme.read_text("utf-8")


@pytest.mark.parametrize(
    "arguments",
    [["missing.json"], ["--check"], ["--no-such-option"], ["a", "b"]],
)
def test_usage_errors_are_one_line_and_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("report_tables: ")
    assert said.count("\n") == 1
