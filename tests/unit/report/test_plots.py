"""Plots: what is drawn, when nothing is, and that the same data gives the same bytes."""

import re
from xml.etree import ElementTree

from duet_report.plots import (
    Panel,
    Plot,
    PlotSeries,
    Span,
    draw,
    enough,
    inline_svg,
    style,
    write_plots,
)


def _plot(name="p", points=3, **more):
    numbers = [float(at) for at in range(points)]
    return Plot(
        name,
        "A title",
        "A <caption>",
        [Panel("x", "y", [PlotSeries("s", numbers, numbers)], **more)],
    )


def test_the_same_data_gives_the_same_bytes(tmp_path):
    for place in ("a", "b"):
        write_plots([_plot()], tmp_path / place)
    first, second = ((tmp_path / place / "p.svg").read_bytes() for place in ("a", "b"))
    assert first == second
    assert b"<dc:date>" not in first
    ElementTree.fromstring(first)


def test_two_points_are_no_plot(tmp_path):
    write_plots([_plot()], tmp_path)
    # A limit is not a point. An earlier plot that shows nothing now is removed.
    limit = PlotSeries("most", [0, 1, 2], [1, 1, 1], look="limit")
    few = Plot("p", "", "", [Panel("x", "y", [PlotSeries("s", [0, 1], [0, 1]), limit])])
    assert write_plots([few], tmp_path) == []
    assert not (tmp_path / "p.svg").exists()
    both = Plot("p", "", "", [*few.panels, *_plot().panels])
    assert [len(plot.panels) for plot in enough([both])] == [1]


def test_a_page_s_svg_has_its_own_ids_and_colours():
    svg = inline_svg(_plot("one"))
    ElementTree.fromstring(svg.replace("xlink:", ""))
    assert 'aria-label="A title. A &lt;caption&gt;"' in svg
    assert all(name.startswith("one-") for name in re.findall(r'\bid="([^"]+)"', svg))
    assert not re.search("#[0-9a-f]{6}", svg)
    assert not re.search(r'^<svg[^>]* width="', svg)


def test_bands_error_bars_and_spans():
    band = PlotSeries("b", [1, 2, 3], [2, 3, 4], low=[1, 2, 3], high=[3, 4, 5], look="line")
    bars = PlotSeries("e", [1, 2, 3], [0, 1, 2], colour=1, low=[0, 1, 2], high=[2, 3, 4])
    with style():
        figure = draw(
            Plot("p", "", "", [
                Panel("x", "y", [band]),
                Panel("x", series=[bars], rows=["a", "b", "c"]),
                Panel("s", spans=[Span(0, 1.0, 3.0, "waits", None)], rows=["device"]),
            ])
        )  # fmt: skip
    filled, rows, spans = figure.axes
    assert len(filled.collections) == 1
    assert [label.get_text() for label in rows.get_yticklabels()] == ["a", "b", "c"]
    ends = rows.collections[0].get_segments()
    assert [segment[:, 0].tolist() for segment in ends] == [[0, 2], [1, 3], [2, 4]]
    assert (spans.patches[0].get_x(), spans.patches[0].get_width()) == (1.0, 2.0)
