"""Examples in docstrings: which modules have some, and whether they hold."""

import doctest
import importlib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def modules_with_examples(*folders: str) -> list[str]:
    """Modules of the projects in `folders` (proto, device, ...) whose docstrings hold examples."""
    found = []
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            # What pip leaves where it builds a wheel is a copy.
            if "build" not in parts and ">>> " in path.read_text("utf-8"):
                found.append(".".join(part for part in parts if part != "__init__"))
    return found


def check_examples(module: str) -> None:
    """Runs the examples of a module; what differs is printed."""
    results = doctest.testmod(
        importlib.import_module(module),
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS,
    )
    assert results.attempted
    assert not results.failed
