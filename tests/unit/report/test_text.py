"""Tables and blocks."""

import pytest

from duet_report.blocks import BlockError, put_block, update_blocks
from duet_report.tables import aligned, markdown


def test_cells_cannot_break_a_table():
    text = markdown(["a", "b"], [["x|y", "one\ntwo"]])
    assert text.splitlines()[2] == "| x\\|y | one two |"
    assert markdown(["a"], []) == ""


def test_terminal_tables_line_up():
    lines = aligned(["mode", "tokens"], [["duet", "16"], ["large-alone", "128"]]).splitlines()
    assert [line.rstrip()[-3:] for line in lines[2:]] == [" 16", "128"]


def test_a_block_is_written_or_only_compared(tmp_path):
    file = tmp_path / "README.md"
    file.write_text("before\n<!-- t:start -->\nold\n<!-- t:end -->\nafter\n")
    assert update_blocks(file, {"t": "new"}, check=True)
    assert "old" in file.read_text()
    assert update_blocks(file, {"t": "new"})
    assert file.read_text() == "before\n<!-- t:start -->\nnew\n<!-- t:end -->\nafter\n"
    assert not update_blocks(file, {"t": "new"}, check=True)


@pytest.mark.parametrize("text", ["", "<!-- t:end --><!-- t:start -->", "<!-- t:start -->"])
def test_a_block_needs_its_marks(text):
    with pytest.raises(BlockError, match="<!-- t:start -->"):
        put_block(text, "t", "x")
