"""The curve of accuracy against signal tokens as a page of its own, without scripts."""

from collections.abc import Sequence
from html import escape

from duet_device.calibration.study import Study, Tradeoff

_WIDTH, _HEIGHT, _LEFT, _BELOW = 640, 400, 60, 50
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:15px system-ui,sans-serif;margin:2em auto;max-width:50em;padding:0 1em}}
table{{border-collapse:collapse}}td,th{{padding:.2em .8em;text-align:right}}
td:first-child,th:first-child{{text-align:left}}svg{{max-width:100%}}</style>
<h1>{title}</h1><p>{summary}</p>{chart}{tables}</html>
"""


def page(study: Study) -> str:
    """Return the page of a study."""
    calibration = study.calibration
    tables = "".join(
        f"<h2>{decision}</h2><p>{escape(str(fitted))}</p>"
        + _table(
            ["measure", "AURC", "AUROC", "ECE"],
            [
                [
                    each.measure,
                    f"{each.test_aurc:.3f}",
                    "" if each.test_auroc is None else f"{each.test_auroc:.3f}",
                    f"{each.test_ece:.3f}",
                ]
                for each in fitted.ranked
            ],
        )
        for decision, fitted in study.fitted.items()
    )
    right = "agrees with the cloud" if calibration.against == "cloud" else "is right"
    return _PAGE.format(
        title=escape(f"Calibration of {calibration.pair}"),
        summary=escape(
            f"{calibration.data}: {calibration.questions} questions, {study.tested} of them test. "
            f"Accuracy: share of questions whose answer {right}."
        ),
        chart=_chart(study),
        tables=tables,
    )


def _chart(study: Study) -> str:
    gate = study.fitted.get("gate")
    stop = study.fitted.get("stop")
    never, always = study.baselines["never"], study.baselines["always"]
    lines: list[tuple[str, str, Sequence[Tradeoff]]] = [
        ("oracle", "#1a7f37", study.oracle),
        ("random", "#6e7781", (never, always)),
    ]
    for name, color, fitted in (("gate", "#0969da", gate), ("stop", "#bc4c00", stop)):
        if fitted:
            curve = [Tradeoff(each.accuracy, each.tokens) for each in fitted.curve]
            lines.append((name, color, [always, *curve]))
    most = max(1e-9, *(point.tokens for _, _, points in lines for point in points))
    accuracies = [point.accuracy for _, _, points in lines for point in points]
    low, high = min(accuracies), max(accuracies)
    span = max(1e-9, high - low)

    def place(point: Tradeoff) -> tuple[float, float]:
        x = _LEFT + (_WIDTH - _LEFT - 20) * point.tokens / most
        return x, 20 + (_HEIGHT - _BELOW - 20) * (high - point.accuracy) / span

    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" font-size="13" fill="currentColor">'
        "<title>Accuracy against signal tokens per question</title>"
    ]
    for at, (name, color, points) in enumerate(lines):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, points))
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>'
            f'<text x="{_WIDTH - 90}" y="{_HEIGHT - _BELOW - 14 * (len(lines) - at)}" '
            f'fill="{color}">{name}</text>'
        )
    for name, point in (("never", never), ("always", always)):
        x, y = place(point)
        anchor = "start" if point is never else "end"
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
            f'<text x="{x + 10 * (point is never):.1f}" y="{y - 8:.1f}" '
            f'text-anchor="{anchor}">{name}</text>'
        )
    bottom = _HEIGHT - _BELOW
    parts += [
        f'<path d="M{_LEFT} 10V{bottom}H{_WIDTH - 10}" fill="none" stroke="currentColor"/>',
        *(
            f'<text x="{_LEFT - 6}" y="{place(Tradeoff(value, 0))[1] + 4:.1f}" '
            f'text-anchor="end">{value:.0%}</text>'
            for value in (low, high)
        ),
        f'<text x="{_LEFT}" y="{bottom + 18}">0</text>',
        f'<text x="{_WIDTH - 20}" y="{bottom + 18}" text-anchor="end">{most:.1f}</text>',
        f'<text x="{(_LEFT + _WIDTH) / 2}" y="{bottom + 36}" text-anchor="middle">'
        "signal tokens per question</text></svg>",
    ]
    return "".join(parts)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(tag: str, cells: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return f"<table>{line('th', heads)}{''.join(line('td', row) for row in rows)}</table>"
