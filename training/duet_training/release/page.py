"""The README of a released pair, from `templates/`: its scope, its limits and its figures."""

from typing import Any

from duet_contract.manifest import Manifest
from duet_report.tables import markdown
from duet_report.text_page import render
from duet_training.evaluation.signal_table import content_table
from duet_training.release import tables
from duet_training.release.stage import HELD_OUT, SET_NAMES, set_name
from duet_training.release.targets import percent, private_target_rows, target_rows


def write_page(manifest: Manifest, figures: dict[str, Any]) -> str:
    """Write the pair's README in Markdown; omit missing figures or state that they are missing."""
    private = manifest.answers == "computed"
    # Such as Q8_0 for `decoder/model.Q8_0.gguf`.
    kind = manifest.decoder.path.rsplit("/", 1)[-1].removeprefix("model.").removesuffix(".gguf")
    served, parity = figures["served"] or {}, figures.get("parity")
    sets, out_of_domain = served.get("sets", {}), served.get("out_of_domain")
    targets = private_target_rows(sets, figures) if private else target_rows(figures, kind)
    return render(
        "duet_training.release",
        "private.md.j2" if private else "split.md.j2",
        manifest=manifest,
        figures=figures,
        kind=kind,
        sets=sets,
        # The sets that were not generated.
        real={name: one for name, one in sets.items() if name not in SET_NAMES},
        peer=served.get("peer"),
        out_of_domain=out_of_domain
        if out_of_domain and out_of_domain["marked"] is not None
        else None,
        clock=figures.get("wall_clock"),
        parity=parity,
        doubt=parity["decoder"][kind]["confidence"] if parity else None,
        vllm=parity["reasoner"]["vllm"] if parity else {},
        numbers_sent=sum(s.get("numbers_sent", 0) * s["questions"] for s in sets.values()),
        targets=markdown(("target", "measured", "met?"), targets),
        tables=tables,
        signals_table=lambda found: content_table({set_name(HELD_OUT[0]): found}),
        percent=percent,
        answered=_answered,
        short=_short,
    )


def _answered(real: dict[str, Any]) -> str:
    shares = [found["split"]["accuracy"] for found in real.values()]
    least, most = f"{min(shares):.0%}", f"{max(shares):.0%}"
    return least if least == most else f"{least} to {most}"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 160 else text[:160] + "..."
