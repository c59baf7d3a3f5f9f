"""Files for their owner alone."""

import os
from pathlib import Path

from duet_contract.private_files import drop_scratch, write_private


def test_scratch_files_of_killed_writes_are_deleted(tmp_path: Path) -> None:
    path = tmp_path / "[::1]:50151.json"
    left, fresh, other = (
        tmp_path / name for name in (f".{path.name}.a", f".{path.name}.b", ".other.json.c")
    )
    for each in (left, fresh, other):
        each.write_text("")
    os.utime(left, (0, 0))
    write_private(path, b"content")
    assert {each.name for each in tmp_path.iterdir()} == {path.name, fresh.name, other.name}
    # A write in progress is not disturbed; without one, all scratch files are deleted.
    drop_scratch(path)
    assert {each.name for each in tmp_path.iterdir()} == {path.name, other.name}
    assert path.read_bytes() == b"content"
