"""Which of parity's figures are beyond what the settings allow."""

import math
from collections.abc import Mapping
from typing import Any

from duet_training.export.settings import ParitySettings


def limit_for(limits: Mapping[str, float], name: str) -> float:
    """The limit whose key is the longest beginning of `name`; that of `other` if none is."""
    keys = [key for key in limits if name.startswith(key)]
    return limits[max(keys, key=len, default="other")]


def beyond(measured: Mapping[str, Any], settings: ParitySettings) -> list[str]:
    """A line for each figure that is beyond its limit; NaN always is."""
    rows = {"reasoner": measured["reasoner"]["files"]}
    if measured["reasoner"]["vllm"]["measured"]:
        rows["vllm"] = measured["reasoner"]["vllm"]
    rows |= measured["decoder"]
    found = []
    for name, row in rows.items():
        most, least = limit_for(settings.max_kl, name), limit_for(settings.min_top1, name)
        if math.isnan(row["mean_kl"]) or row["mean_kl"] > most:
            found.append(f"{name}: mean KL {row['mean_kl']:.4g} is above {most:g}")
        if math.isnan(row["top1_agreement"]) or row["top1_agreement"] < least:
            found.append(f"{name}: top-1 agreement {row['top1_agreement']:.3f} is below {least:g}")
        drop, low = row.get("accuracy_drop", 0.0), row.get("accuracy_drop_95", [0.0])[0]
        if drop > settings.max_accuracy_drop and low > 0:
            found.append(
                f"{name}: accuracy is {drop:.3f} lower, more than {settings.max_accuracy_drop:g}"
            )
    return found
