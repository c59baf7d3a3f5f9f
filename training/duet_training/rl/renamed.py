"""Names of earlier versions in what runs have left: arguments, settings and metrics."""

from collections.abc import Mapping
from typing import Any

# Of settings in arguments, as committed results hold them.
_EARLIER, _NOW = "objective.price.", "objective.length_penalty."


def current_argument(argument: str) -> str:
    """Return a command's argument as this version names it.

    Examples:
        >>> current_argument("objective.price.start=0.5")
        'objective.length_penalty.start=0.5'
    """
    if argument.startswith(_EARLIER):
        return _NOW + argument.removeprefix(_EARLIER)
    return argument


def current_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checkpoint's settings as this version names them.

    Examples:
        >>> current_settings({"objective": {"price": {"start": 0.5}}})
        {'objective': {'length_penalty': {'start': 0.5}}}
    """
    objective = dict(settings.get("objective", {}))
    if "price" not in objective:
        return dict(settings)
    objective["length_penalty"] = objective.pop("price")
    return {**settings, "objective": objective}


def current_metrics(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a step's metrics as this version names them.

    Examples:
        >>> current_metrics({"step": 1, "price": 0.1})
        {'step': 1, 'lambda': 0.1}
    """
    return {"lambda" if name == "price" else name: value for name, value in row.items()}
