"""A small SVG canvas: boxes, arrows and text in the colors of one scheme."""

from dataclasses import dataclass, field
from html import escape

_FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
_MONO = "ui-monospace, 'SF Mono', Menlo, Consolas, monospace"


@dataclass(frozen=True)
class Scheme:
    """Colors of a picture, as CSS colors."""

    name: str
    """`light` or `dark`."""
    ink: str
    """Color of text."""
    soft: str
    """Color of secondary text."""
    line: str
    """Color of lines and borders."""
    surface: str
    """Color inside boxes."""
    large: str
    """Color of the large model."""
    small: str
    """Color of the small model."""


SCHEMES = (
    Scheme("light", "#1f2328", "#59636e", "#8c959f", "#f6f8fa", "#0969da", "#1a7f37"),
    Scheme("dark", "#e6edf3", "#9198a1", "#6e7681", "#151b23", "#58a6ff", "#3fb950"),
)


@dataclass
class Canvas:
    """Collects the elements of one picture."""

    title: str
    """What the picture shows, for readers who do not see it."""
    width: int
    """Width in pixels."""
    height: int
    """Height in pixels."""
    scheme: Scheme
    """Colors of the picture."""
    parts: list[str] = field(default_factory=list)
    """SVG elements, in the order of drawing."""

    def text(
        self,
        x: float,
        y: float,
        content: str,
        *,
        size: int = 14,
        color: str = "",
        anchor: str = "start",
        bold: bool = False,
        mono: bool = False,
    ) -> None:
        """Writes one line of text; `y` is its baseline."""
        weight = ' font-weight="600"' if bold else ""
        font = f' font-family="{_MONO}"' if mono else ""
        self.parts.append(
            f'<text x="{x}" y="{y}" font-size="{size}" fill="{color or self.scheme.ink}" '
            f'text-anchor="{anchor}"{weight}{font}>{escape(content)}</text>'
        )

    def box(
        self, x: float, y: float, width: float, height: float, *, color: str = "", fill: str = ""
    ) -> None:
        """Draws a rounded rectangle."""
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" '
            f'fill="{fill or "none"}" stroke="{color or self.scheme.line}" stroke-width="1.5"/>'
        )

    def arrow(self, *points: tuple[float, float], color: str = "", dashed: bool = False) -> None:
        """Draws a line through the points, with a head at the last one."""
        color = color or self.scheme.line
        path = "M" + " L".join(f"{x} {y}" for x, y in points)
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        (x0, y0), (x, y) = points[-2:]
        length = max(abs(x - x0), abs(y - y0))
        dx, dy = (x - x0) / length * 9, (y - y0) / length * 9
        head = f"{x},{y} {x - dx - dy / 2},{y - dy + dx / 2} {x - dx + dy / 2},{y - dy - dx / 2}"
        self.parts.append(
            f'<path d="{path}" fill="none" stroke="{color}" stroke-width="1.8"{dashes}/>'
            f'<polygon points="{head}" fill="{color}"/>'
        )

    def svg(self) -> str:
        """The picture as an SVG document."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" role="img" font-family="{_FONT}">\n'
            f"<title>{escape(self.title)}</title>\n" + "\n".join(self.parts) + "\n</svg>\n"
        )
