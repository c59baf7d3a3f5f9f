"""One name a thing: packages that a reader meets together have no class name twice."""

import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
_CLASS = re.compile(r"^class ([A-Z]\w*)", re.MULTILINE)
# Of each package, those that it imports.
MET = {
    "cloud/duet_cloud": ("proto/duet_contract",),
    "device/duet_device": ("proto/duet_contract",),
    "tools/duet_tools": ("proto/duet_contract", "device/duet_device", "tools/report/duet_report"),
    "training/duet_training": ("proto/duet_contract", "tools/report/duet_report"),
}
# Used side by side nowhere, or each the errors, the settings or the manifest's word of its package.
KNOWN = {
    "cloud/duet_cloud": {"Route", "Step"},
    "device/duet_device": {"Decoder"},
    "tools/duet_tools": {"Asked", "Machine", "Record", "Row", "Service", "Source", "UsageProblem"},
    "training/duet_training": {"Tokens"},
}


def classes(folder: str) -> dict[str, list[str]]:
    found = defaultdict(list)
    for file in sorted((ROOT / folder).rglob("*.py")):
        if "_pb2" not in file.name:
            for name in _CLASS.findall(file.read_text("utf-8")):
                found[name].append(str(file.relative_to(ROOT)))
    return found


@pytest.mark.parametrize("package", MET)
def test_no_class_name_means_two_things(package: str) -> None:
    own = classes(package)
    assert {name: files for name, files in own.items() if len(files) > 1} == {}
    met = {name for other in MET[package] for name in classes(other)}
    assert {name for name in own if name in met} == KNOWN[package]
