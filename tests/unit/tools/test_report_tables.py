"""Tables from results and reports, and the README that holds them."""

from pathlib import Path

import pytest

from duet_tools.report import readme_tables
from duet_tools.report.build import link_facts
from duet_tools.report.figures import markdown
from duet_tools.report.readme import readme
from duet_tools.results.figures import Results
from duet_tools.results.report import Report
from tests.doubles.commands import bench_tables as main
from tests.doubles.reports import ALONE, LARGE, SPLIT, large_records, records, report, summary

START, END = "<!-- bench:start -->", "<!-- bench:end -->"
REPORT_START, REPORT_END = "<!-- report:start -->", "<!-- report:end -->"


@pytest.fixture
def file(results: Results, tmp_path: Path) -> Path:
    path = tmp_path / "results.json"
    path.write_text(results.to_json(), "utf-8")
    return path


def test_table_has_a_row_a_figure_and_says_where_it_was_measured(results: Results) -> None:
    lines = markdown(results).splitlines()
    assert lines[2] == (
        "| Throughput, 1 stream | 99.0 tokens/s (98.0 to 100) | 100 tokens/s, vLLM AsyncLLM "
        "| 0.990 (0.980 to 1.000) | at least 0.98 | yes |"
    )
    assert all(line.count("|") == 7 for line in lines[:3])
    assert "A Processor, 2 cores, 23.4 GiB" in lines[-1]


def test_the_least_and_the_most_are_found_whatever_their_units_are() -> None:
    far = SPLIT.model_copy(update={"link": "3g"})
    conditions = [summary(SPLIT, records(SPLIT, wire_down=2_500_000)), summary(far, records(far))]
    links = [link_facts(name) for name in ("4g", "3g")]
    assert "| 100 to 2.5M |" in readme(report(*conditions, links=links))


def test_missing_marks_are_one_line(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"{END}\n{START}\n", "utf-8")
    assert main([str(file), "--update", str(page)]) == 2
    assert f"no block bench: add the lines {START} and {END}" in capsys.readouterr().err


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
    [
        ["missing.json"],
        ["--check"],
        ["--no-such-option"],
        ["a", "b"],
        ["--keep", "x.json"],
        ["--update", "missing.md"],
    ],
)
def test_usage_errors_are_one_line_and_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("duet-bench: ")
    assert said.count("\n") == 1


@pytest.fixture
def measured() -> Report:
    """One link, one load; a question of the split failed."""
    failed = records(SPLIT)
    failed[3].status = "busy"
    conditions = [
        summary(ALONE, records(ALONE, large_tokens=0, correct=lambda i: i < 5)),
        summary(SPLIT, failed),
        summary(LARGE, large_records()),
    ]
    return report(*conditions, command="python bench")


def test_a_readme_shows_every_link_and_mode_and_what_follows(measured: Report) -> None:
    lines = readme(measured).splitlines()
    assert lines[0].startswith("- duet @32 against the large model alone: slower")
    at = lines.index("| device-alone | 25% (11% to 47%) | 0 |  |  |")
    assert lines[at - 2].startswith("| mode | accuracy (95% CI) |")
    assert lines[at + 1 : at + 3] == [
        "| duet @32 | 95% (76% to 99%) | 10 | 100 |  |",
        "| large-alone | 50% (30% to 70%) | 49.5 | 9000 |  |",
    ]
    at = lines.index("| end to end p50 / p95 (s) | device-alone | duet @32 | large-alone |")
    assert lines[at + 2] == "| 4g | 0.61 / 0.62 | 0.61 / 0.62, 19 of 20 (1 busy) | 0.59 / 0.68 |"
    assert "| 4g | 51 |" in lines
    assert "20 questions, 1 at once, 2026-01-02, A Processor, 2 cores" in lines[-1]
    assert "Connections were plaintext: mutual TLS adds about 2.0 KB up" in lines[-1]
    assert lines[-1].endswith("Measured with `python bench`.")


def test_what_differs_from_link_to_link_is_told_from_least_to_most(measured: Report) -> None:
    near = SPLIT.model_copy(update={"link": "wifi"})
    other = summary(near, records(near, wire_down=120, total_ms=300.0))
    text = readme(measured.model_copy(update={"conditions": (*measured.conditions, other)}))
    assert "| duet @32 | 95% (76% to 99%) to 100% (84% to 100%) | 10 | 100 to 120 |" in text
    assert "| wifi | 0.61 / 0.62 | 0.30 / 0.30 |  |" in text


def test_loads_are_told_apart_where_there_are_several(measured: Report) -> None:
    eight = SPLIT.model_copy(update={"streams": 8})
    text = readme(measured.model_copy(update={"conditions": (
        *measured.conditions, summary(eight, records(eight)),
    )}))  # fmt: skip
    assert "| duet @32, 1 at once |" in text
    assert "| duet @32, 8 at once |" in text
    assert "20 questions, 2026" in text


def test_a_partial_report_says_so_in_a_readme(measured: Report) -> None:
    text = readme(measured.model_copy(update={"partial": "interrupted"}))
    assert text.startswith("**Partial:** interrupted\n\n- duet @32 against")


def test_one_command_keeps_a_report_and_puts_it_into_the_readme(
    measured: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, kept, page = (tmp_path / name for name in ("report.json", "kept.json", "README.md"))
    whole.write_text(measured.to_json(), "utf-8")
    page.write_text(f"{START}\nfigures\n{END}\n{REPORT_START}\n{REPORT_END}\n", "utf-8")
    assert main([str(whole), "--keep", str(kept), "--update", str(page)]) == 0
    assert page.read_text("utf-8") == (
        f"{START}\nfigures\n{END}\n{REPORT_START}\n{readme(measured)}{REPORT_END}\n"
    )
    assert all(measured.series for measured in Report.read(whole).conditions)
    assert not any(measured.series for measured in Report.read(kept).conditions)
    assert kept.stat().st_size < 0.7 * whole.stat().st_size
    # What is committed says the same as what was measured.
    assert main([str(kept), "--update", str(page), "--check"]) == 0
    page.write_text(page.read_text("utf-8").replace("95%", "99%"), "utf-8")
    assert main([str(kept), "--update", str(page), "--check"]) == 1
    assert f"is stale: duet-bench tables {kept} --update" in capsys.readouterr().err


def test_without_a_file_every_committed_one_is_put_in(
    file: Path, measured: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, page = tmp_path / "report_cpu.json", tmp_path / "README.md"
    monkeypatch.setattr(readme_tables, "COMMITTED", (file, kept))
    page.write_text(f"{START}\n{END}\n{REPORT_START}\nkept\n{REPORT_END}\n", "utf-8")
    assert main(["--update", str(page)]) == 0
    # A block whose file is not there is left as it is.
    assert f"{REPORT_START}\nkept\n{REPORT_END}" in page.read_text("utf-8")
    kept.write_text(measured.without_series().to_json(), "utf-8")
    assert main(["--update", str(page), "--check"]) == 1
    assert main(["--update", str(page)]) == 0
    text = page.read_text("utf-8")
    assert "Throughput, 1 stream" in text
    assert "| large-alone | 50%" in text


def test_only_a_report_is_kept(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(file), "--keep", str(tmp_path / "kept.json")]) == 2
    assert "--keep is for a report" in capsys.readouterr().err
    assert not (tmp_path / "kept.json").exists()


def test_a_report_with_kept_connections_has_a_block_of_its_own(
    measured: Report, tmp_path: Path
) -> None:
    settings = measured.settings.model_copy(update={"connections": "kept"})
    report, page = tmp_path / "report.json", tmp_path / "README.md"
    report.write_text(measured.model_copy(update={"settings": settings}).to_json(), "utf-8")
    page.write_text(
        f"{REPORT_START}\nnew\n{REPORT_END}\n<!-- kept:start --><!-- kept:end -->", "utf-8"
    )
    assert main([str(report), "--update", str(page)]) == 0
    text = page.read_text("utf-8")
    assert text.startswith(f"{REPORT_START}\nnew\n{REPORT_END}\n")
    assert "| large-alone | 50%" in text
