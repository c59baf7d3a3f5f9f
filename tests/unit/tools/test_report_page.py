"""The report file, the page and Markdown: what they hold, and that they need nothing else."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from duet_report.plots import enough
from duet_tools.errors import UsageProblem
from duet_tools.report.build import link_facts
from duet_tools.report.columns import EFFICIENCY, MAIN, METRICS, table
from duet_tools.report.page import page
from duet_tools.report.plots import plots
from duet_tools.report.text import as_markdown
from duet_tools.report.waterfall import waterfall
from duet_tools.results.figures import Results
from duet_tools.results.questions import QuestionRow
from duet_tools.results.report import Metric, Report
from tests.doubles.commands import bench_split
from tests.doubles.reports import ALONE, LARGE, SPLIT, large_records, records, report, summary


@pytest.fixture(scope="module")
def full() -> Report:
    """A report that has everything to be drawn."""
    conditions = []
    split = records(SPLIT, low_confidence=lambda i: i == 0)
    for link in ("4g", "satellite"):
        for streams in (1, 8):
            for measured, found in ((SPLIT, split), (LARGE, large_records())):
                conditions.append(
                    summary(measured.model_copy(update={"link": link, "streams": streams}), found)
                )
    conditions.append(summary(ALONE, records(ALONE, large_tokens=0)))
    return report(
        *conditions,
        links=(link_facts("4g"), link_facts("satellite")),
        bytes_per_token={"token ids": 4.1, "text": 6.2, "server-sent events": 248.0},
        waterfall=waterfall(records(SPLIT), {"4g": 70.0}),
        notes=("A <b>note</b>.",),
    )


@pytest.fixture(scope="module")
def html(full: Report) -> str:
    return page(full)


def test_a_report_survives_writing_and_reading(full: Report, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(full.to_json(), "utf-8")
    assert Report.read(path).to_json() == full.to_json()
    # A series of a condition is one line, not one line a question.
    assert len(full.to_json().splitlines()) < 150 * len(full.conditions)


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "valid report"), ("[]", "valid report"), ("{}", "valid report"), ('{"schema": 9}', "schema 9"),
     ('{"schema": 1}', "Field required")],
)  # fmt: skip
def test_other_files_are_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text, "utf-8")
    with pytest.raises(UsageProblem, match=said) as caught:
        Report.read(path)
    assert "\n" not in str(caught.value)


def test_every_plot_is_drawn_where_there_is_something_to_draw(full: Report) -> None:
    assert [plot.name for plot in enough(plots(full))] == [
        "accuracy", "latency", "times", "tokens", "throughput", "waterfall",
    ]  # fmt: skip
    bare = report(summary(ALONE, records(ALONE, 2, correct=None, large_tokens=0)))
    assert enough(plots(bare)) == []


def test_a_distribution_is_of_all_questions_that_were_asked() -> None:
    found = records(SPLIT, 20)
    for record in found[:5]:
        record.status = "busy"
    times = next(plot for plot in plots(report(summary(SPLIT, found))) if plot.name == "times")
    (line,) = times.panels[0].series
    assert (len(line.x), line.y[-1]) == (15, 75)


def test_no_two_plots_share_an_id(html: str) -> None:
    ids = re.findall(r'(?<![-\w])id="([^"]+)"', html)
    assert ids
    assert len(ids) == len(set(ids))


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.outside: list[tuple[str, str]] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag in ("script", "link", "iframe", "object")
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "srcset") and not (value or "").startswith(
                "#"
            ):
                self.outside.append((tag, str(value)))


def test_the_page_needs_nothing_else(html: str) -> None:
    parser = _Links()
    parser.feed(html)
    assert (parser.outside, parser.scripts) == ([], 0)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)


def test_the_page_works_in_light_and_dark_and_on_a_phone(html: str) -> None:
    assert 'name="viewport" content="width=device-width' in html
    light, dark = (set(re.findall(r"--[a-z0-9-]+(?=:)", part)) for part in _themes(html))
    used = set(re.findall(r"var\((--[a-z0-9-]+)\)", html))
    assert used <= light == dark


def _themes(html: str) -> tuple[str, str]:
    before, _, rest = html.partition("@media (prefers-color-scheme: dark)")
    return before, rest.partition("* {")[0]


def test_words_of_a_report_are_text_and_no_markup(html: str) -> None:
    assert "A &lt;b&gt;note&lt;/b&gt;" in html


def test_a_partial_report_says_so_first(full: Report) -> None:
    partial = full.model_copy(update={"partial": "the server could not be reached"})
    assert page(partial).index("Partial:") < page(partial).index("<h2>")
    assert "**Partial:** the server could not be reached" in as_markdown(partial).splitlines()


def test_figures_of_the_other_benchmarks_are_shown(full: Report, results: Results) -> None:
    text = page(full.model_copy(update={"figures": results.figures}))
    assert "Throughput, 1 stream" in text


def test_markdown_has_a_row_a_condition(full: Report) -> None:
    lines = as_markdown(full).splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("| mode"))
    rows = lines[head + 2 : head + 2 + len(full.conditions)]
    assert {line.count("|") for line in [lines[head], *rows]} == {lines[head].count("|")}
    assert rows[0].startswith("| duet @32 | 4g | 1 at once | 20 of 20 | 100% (84% to 100%) | 10 |")


def test_times_are_told_by_their_percentiles() -> None:
    found = summary(SPLIT, records(SPLIT, 11, total_ms=lambda i: 1000.0 * (i + 1)))
    head, _, row, *_ = (x for x in as_markdown(report(found)).splitlines() if x.startswith("|"))
    named = dict(zip(head.split(" | "), row.split(" | "), strict=True))
    assert (named["end p50 (s)"], named["end p95 (s)"]) == ("6.00", "10.50")


def test_questions_are_shown_with_signal_answer_and_mark(full: Report) -> None:
    own = records(
        SPLIT, 3, signal="6*3=<b>", answer=lambda i: f"answer {i}", correct=lambda i: i != 1,
        low_confidence=lambda i: i == 1,
    )  # fmt: skip
    own[2].status, own[2].message = "busy", "at capacity"
    asked = [
        QuestionRow(id=str(i), text=f"question {i}", answer=f"reference {i}") for i in range(3)
    ]
    text = page(full, own, asked)
    rows = [row.split("</tr>")[0] for row in text.split("<tr>")]
    rows = [row for row in rows if re.search(r"<td[^>]*>question \d", row)]
    parts = [re.findall(r">([^<>\n]+)<", row) for row in rows]
    assert parts == [
        ["question 0", "right", "6*3=&lt;b&gt;", "answer 0", "reference 0"],
        ["question 1", "wrong", "6*3=&lt;b&gt;", "answer 1", "reference 1", "marked"],
        ["question 2", "busy", "6*3=&lt;b&gt;", "at capacity", "reference 2"],
    ]


def test_every_name_on_the_page_has_a_meaning(full: Report, html: str) -> None:
    assert set(METRICS) == set(get_args(Metric))
    meanings = html.split("What the names mean")[1]
    heads = {name for columns in (MAIN, EFFICIENCY) for name in table(columns, full)[0]}
    for name in (*heads, *METRICS, *{measured.condition.mode for measured in full.conditions}):
        assert f"<td>{name}</td>" in meanings, name


def test_energy_is_shown_where_it_was_read(full: Report) -> None:
    # RAPL's psys holds the packages, too.
    joules = {"package-0": 90.0, "gpu-0": 10.0, "psys": 500.0}
    conditions = [
        measured.model_copy(update={"joules": joules}) for measured in full.conditions[:1]
    ]
    shown = full.model_copy(update={"conditions": (*conditions, *full.conditions[1:])})
    lines = as_markdown(shown).splitlines()
    head = next(number for number, line in enumerate(lines) if "joules per question" in line)
    column = [name.strip() for name in lines[head].split("|")].index("joules per question")
    values = [line.split("|")[column].strip() for line in lines[head + 2 : head + 4]]
    assert values == ["5", ""]
    assert "joules per question" in page(shown)
    assert "joules per question" not in as_markdown(full)


def test_two_reports_are_compared_on_the_terminal(
    full: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.json"
    path.write_text(full.to_json(), "utf-8")
    assert bench_split(["--compare", str(path), str(path)]) == 0
    said = capsys.readouterr().out
    assert "noise" in said
    assert "duet@32/satellite/8 at once" in said
    assert "differences are noise" in said


def test_committed_reports_can_be_read_and_name_no_machine() -> None:
    directory = Path(__file__).parents[3] / "tools/duet_tools/results"
    for path in directory.glob("report_*.json"):
        found = Report.read(path)
        assert found.conditions
        assert found.partial is None
        text = path.read_text("utf-8")
        assert not any(private in text for private in ("/home/", "/root/", "/tmp/", "/work/"))
        assert len(text) < 200_000


def test_a_report_is_what_its_committed_schema_says(full: Report) -> None:
    path = Path(__file__).parents[3] / "tools/duet_tools/results/schema.json"
    validator = Draft202012Validator(json.loads(path.read_text("utf-8")))
    validator.check_schema(validator.schema)
    for found in (full, full.without_series(), full.model_copy(update={"conditions": ()})):
        validator.validate(json.loads(found.to_json()))
    wrong = json.loads(full.to_json())
    wrong["conditions"][0]["condition"]["mode"] = "guessing"
    assert not validator.is_valid(wrong)


def test_the_schema_says_what_every_part_and_field_is() -> None:
    path = Path(__file__).parents[3] / "tools/duet_tools/results/schema.json"
    whole = json.loads(path.read_text("utf-8"))
    parts: dict[str, Any] = {"Report": whole, **whole["$defs"]}
    assert [name for name, part in parts.items() if not part.get("description")] == []
    fields = {
        (name, key): field
        for name, part in parts.items()
        for key, field in part["properties"].items()
    }
    assert [each for each, field in fields.items() if not field.get("description")] == []
