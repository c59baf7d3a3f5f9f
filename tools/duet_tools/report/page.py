"""The report as one page that needs nothing else: no script, no font, no file beside it."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from duet_tools.report import rows
from duet_tools.results.report import Report


def page(report: Report) -> str:
    """The page's HTML."""
    # matplotlib takes a second to load, which --help and errors of usage do not need.
    from duet_tools.report.plots import plots

    # Drawn by us; every label in it is escaped.
    drawn = [
        {"title": plot.title, "caption": plot.caption, "svg": Markup(plot.svg)}  # nosec B704
        for plot in plots(report)
    ]
    return _template().render(
        report=report,
        plots=drawn,
        headings=rows.headings(report),
        rows=rows.rows(report),
        cells=[(cell.id, rows.metric_rows(cell)) for cell in report.cells],
        facts=rows.facts(report),
        number=rows.number,
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("duet_tools.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")
