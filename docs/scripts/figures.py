"""What the documents show of the released pairs' results: one plot and one table."""

import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf import GGUFReader

from drawing import Scheme
from plotting import plotted

ROOT = Path(__file__).resolve().parents[2]
PAIRS = ROOT / "cloud/pairs/duet_pairs"
RECIPES = ROOT / "cloud/duet_cloud/pairs/recipes"
# What a pair answers, in a reader's words.
_ANSWERS = {
    "stories-5m": "word problems of the generated kinds that it was trained on, nothing else",
    "private-sums-135m": "English word problems of arithmetic, in your own words; no number leaves the device",
}
# Held-out problems of the types of training: of other pairs, and of one that computes.
_SCOPES = ("wide", "problems")


@dataclass(frozen=True)
class PairResults:
    """A released pair and what was measured of it."""

    name: str
    """Id of the pair."""
    reasoner: str
    """Size of the reasoner and how it was trained, for the table."""
    decoder_parameters: float
    """Number of the decoder's parameters."""
    figures: dict[str, Any]
    """Content of its `figures.json`."""

    @property
    def original(self) -> dict[str, Any] | None:
        """The reasoner before joint training; None without joint training."""
        found: dict[str, Any] | None = (
            self.figures.get("evaluations", {}).get("wide", {}).get("original")
        )
        return found

    @property
    def sets(self) -> dict[str, Any]:
        """By set of questions: the pair as served."""
        found: dict[str, Any] = self.figures["served"]["sets"]
        return found

    @property
    def held_out(self) -> dict[str, Any]:
        """Held-out problems of the types of training."""
        found: dict[str, Any] = next(self.sets[name] for name in _SCOPES if name in self.sets)
        return found


def released_pairs(root: Path = PAIRS) -> list[PairResults]:
    """The pairs that are part of this repository and have results."""
    found = []
    for path in sorted(root.glob("*/figures.json")):
        directory = path.parent
        reader = GGUFReader(next(directory.glob("decoder/*.gguf")))
        decoder = sum(int(tensor.n_elements) for tensor in reader.tensors)
        figures = json.loads(path.read_text("utf-8"))
        found.append(PairResults(directory.name, _reasoner(directory), decoder, figures))
    return found


def _reasoner(directory: Path) -> str:
    manifest = directory / "manifest.json"
    if manifest.is_file():
        parameters = json.loads(manifest.read_text("utf-8"))["reasoner"]["parameters"]
        return f"{_millions(parameters)}, trained from scratch"
    recipe = tomllib.loads((RECIPES / f"{directory.name}.toml").read_text("utf-8"))
    return f"{recipe['base_models'][0].split('/')[-1]} + adapter"


def _millions(parameters: float) -> str:
    return f"{parameters / 1e6:.1f}M"


def _alone(found: dict[str, Any] | None, figure: str, form: str) -> str:
    """A figure of the large model alone; a dash of one that writes no answers."""
    return format(found[figure], form) if found else "-"


def pairs_table(pairs: list[PairResults]) -> str:
    """The table of pairs: size, what they answer, accuracy and tokens of the large model."""
    head = (
        "pair", "large model", "small model", "answers", "right: split / large model alone",
        "large-model tokens: split / alone", "right on public test sets",
    )  # fmt: skip
    rows = [head, ("---",) * len(head)]
    for pair in pairs:
        split, alone = pair.held_out["split"], pair.held_out.get("reasoner")
        public = [each["split"]["accuracy"] for each in pair.sets.values() if not each["generated"]]
        rows.append(
            (
                f"`{pair.name}`", pair.reasoner, _millions(pair.decoder_parameters),
                _ANSWERS[pair.name],
                f"{split['accuracy']:.0%} / {_alone(alone, 'accuracy', '.0%')}",
                f"{split['large_tokens']:.0f} / {_alone(alone, 'large_tokens', '.0f')}",
                f"{min(public):.0%} to {max(public):.0%}",
            )
        )  # fmt: skip
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


# Marker and name of each way to answer, from the most tokens to the least.
_METHODS = {
    "original": ("s", "large model alone, before joint training"),
    "reasoner": ("^", "large model alone, after joint training"),
    "split": ("o", "split"),
}


def _points(pair: PairResults) -> Iterator[tuple[str, float, float, tuple[float, float]]]:
    """Marker, tokens, accuracy and interval of each way to answer, both in percent."""
    measured = {"original": pair.original, **pair.held_out}
    for method, (marker, _) in _METHODS.items():
        if result := measured.get(method):
            low, high = (100 * bound for bound in result["accuracy_95"])
            tokens = result.get("large_tokens", result.get("reasoner_tokens"))
            yield marker, tokens, 100 * result["accuracy"], (low, high)


def accuracy_plot(pairs: list[PairResults], scheme: Scheme) -> str:
    """Accuracy on held-out word problems against tokens of the large model, as SVG."""
    with plotted(scheme) as (axes, out):
        for pair, color in zip(pairs, (scheme.small, scheme.large), strict=False):
            points = list(_points(pair))
            axes.plot(*zip(*(each[1:3] for each in points), strict=True), "--", color=color, lw=1.2)
            for marker, x, y, (low, high) in points:
                axes.errorbar(
                    x, y, [[y - low], [high - y]], fmt=marker, color=color, capsize=3,
                    markersize=8, markerfacecolor=color if marker == "o" else "none",
                )  # fmt: skip
                label = f"{pair.name}: {x:.0f} tokens" if marker == "o" else f"{x:.0f}"
                place = {"o": (-4, -38), "^": (8, 4), "s": (9, -10)}[marker]
                axes.annotate(
                    label, (x, y), xytext=place, textcoords="offset points", color=color,
                    fontsize=10.5,
                )  # fmt: skip
        for marker, words in _METHODS.values():
            axes.plot(
                [], [], marker, color=scheme.ink, label=words, markersize=8,
                markerfacecolor=scheme.ink if marker == "o" else "none",
            )  # fmt: skip
        axes.legend(loc="lower right", frameon=False, labelcolor=scheme.ink)
        axes.set_xlim(0, 140)
        axes.set_ylim(70, 104)
        axes.set_yticks([70, 80, 90, 100], ["70%", "80%", "90%", "100%"])
        axes.set_xlabel("large-model tokens per question")
        axes.set_ylabel("right answers")
    return out[0]
