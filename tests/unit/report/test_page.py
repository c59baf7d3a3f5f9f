"""The page: verdicts first, empty sections left out, everything escaped."""

from duet_report.page import Page, Section, StyledCell, Table, html
from duet_report.plots import Panel, Plot, PlotSeries


def test_verdicts_come_before_everything_else():
    plot = Plot("p", "A plot", "", [Panel("x", "y", [PlotSeries("s", [1, 2, 3], [1, 2, 3])])])
    table = Table(["name", "value"], [["a", StyledCell("wrong", "bad")]], title="Details of a")
    text = html(
        Page("T", "of now", ["it is <better>"], "half", [
            Section("Tables", tables=[table]), Section("Nothing", intro="of this"),
            Section("Plots", plots=[plot]),
        ])
    )  # fmt: skip
    at = [text.index(part) for part in ("half", "it is &lt;better&gt;", "Tables", "<svg")]
    assert at == sorted(at)
    assert "Nothing" not in text
    assert '<span class="bad">wrong</span>' in text
    assert "<details><summary>Details of a</summary>" in text
    assert "<script" not in text
    assert "http" not in text.replace("http://www.w3.org", "")
