"""A report as one HTML page that needs nothing else: no script, font or file next to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from duet_report.plots import COLOURS, GRID, INK, Plot, enough, inline_svg


@dataclass(frozen=True)
class StyledCell:
    """A cell of a table with more than text."""

    text: str
    """Text of the cell."""
    tone: Literal["good", "bad", "neutral"] = "neutral"
    """Colour of the text."""


@dataclass(frozen=True)
class Table:
    """A table of a page."""

    head: Sequence[str]
    """Headings of the columns."""
    rows: Sequence[Sequence[str | StyledCell]]
    """Rows, each with a cell for every column."""
    texts: frozenset[int] = frozenset()
    """Numbers of the columns that hold sentences, which may wrap."""
    title: str = ""
    """Of a table that is shown when its title is opened; empty: it is always shown."""


@dataclass(frozen=True)
class Section:
    """A heading and what is below it, in this order."""

    title: str
    """Heading of the section."""
    intro: str = ""
    """Paragraph below the heading; empty: there is no paragraph."""
    items: Sequence[str] = ()
    """Items of a list below the paragraph."""
    plots: Sequence[Plot] = ()
    """Plots below the list."""
    tables: Sequence[Table] = ()
    """Tables below the plots."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing below the heading."""
        return not (self.items or enough(self.plots) or any(each.rows for each in self.tables))


@dataclass(frozen=True)
class Page:
    """A page: title, verdicts first, then sections."""

    title: str
    """Heading of the page."""
    subtitle: str
    """Line below the heading."""
    verdicts: Sequence[str] = ()
    """What a reader is to remember, a line each."""
    warning: str = ""
    """What is wrong with the run; empty: everything is right."""
    sections: Sequence[Section] = ()
    """Sections below the verdicts."""


def html(page: Page) -> str:
    """Render a page; sections without content are left out."""
    return _template().render(
        page=page,
        drawn=_drawn,
        is_cell=lambda cell: isinstance(cell, StyledCell),
        colours=COLOURS,
        ink=INK,
        grid=GRID,
    )


def _drawn(plots: Sequence[Plot]) -> list[tuple[Plot, Markup]]:
    # Drawn here; matplotlib escapes every label in it.
    return [(plot, Markup(inline_svg(plot))) for plot in enough(plots)]  # nosec B704


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("duet_report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")
