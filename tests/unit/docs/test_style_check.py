"""The check of words: what it reads, what it finds, and when it fails."""

import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

import style_check


def phrases(path: str, text: str) -> list[tuple[int, str]]:
    return [(each.line, each.phrase) for each in style_check.findings(path, text)]


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("Nobody reads it.", ["Nobody"]),
        ("There is none.", ["is none"]),
        ("Without a limit it is None.", []),
        ("Shards are gathered.", ["gathered"]),
        ("Shards are all-gathered.", []),
        ("It is no pair.", ["is no"]),
        ("There is no pair, and there are no files.", []),
        ("It is no longer valid.", []),
        ("The log is told which.", ["is told"]),
        ("It goes on where it stopped.", ["goes on"]),
        ("It cannot be had.", ["be had"]),
        ("Files lie beside the manifest.", ["beside", "lie beside"]),
        ("Costs besides the link.", []),
        ("A letter stands for a number.", []),
        ("A device enrols once; each device is enrolled.", ["enrols"]),
        ("A connection is buffered, encrypted and continued.", []),
    ],
)
def test_a_phrase_is_found_as_whole_words(sentence: str, found: list[str]) -> None:
    assert [phrase for _, phrase in phrases("a.md", sentence)] == found


def test_python_is_read_in_strings_docstrings_and_comments_only() -> None:
    text = (
        '"""One.\n\nNobody calls it.\n"""\n'
        "anew = 1  # done anew\n"
        'print(f"goes {anew} on", f"it goes on {anew}")\n'
        '"beside"\n'
        "# what is\n"
        "# told here\n"
        'run("SELECT sealed FROM answers")\n'
        "f\"signed by {name or 'somebody'}\"\n"
    )
    assert phrases("a.py", text) == [
        (3, "Nobody"),
        (5, "anew"),
        (6, "goes on"),
        (8, "is told"),
        (11, "somebody"),
    ]


def test_code_blocks_of_markdown_are_left_out() -> None:
    text = "anew\n```\nanew\n```\n    anew\nis\nnone\n"
    assert phrases("a.md", text) == [(1, "anew"), (6, "is none")]


def test_comments_of_other_files_are_read() -> None:
    assert phrases("a.toml", 'nobody = "x" # anew\n') == [(1, "anew")]
    assert phrases("Makefile", "# nobody\nanew: beside\n") == [(1, "nobody")]
    assert phrases("a.proto", "// anew\nmessage Nobody {}\n") == [(1, "anew")]
    assert phrases("a.bin", "# anew") == []


@given(st.text(), st.sampled_from(["a.md", "a.toml", "Makefile", "a.proto"]))
def test_any_text_can_be_read(text: str, path: str) -> None:
    for each in style_check.findings(path, text):
        assert 1 <= each.line <= text.count("\n") + 1


def test_a_folder_fails_above_its_ceiling_and_ceilings_only_fall(
    tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "device").mkdir()
    page, ceilings = tmp_path / "device/a.md", tmp_path / "ceilings.json"
    ceilings.write_text('{"device": 1, "cloud": 3}', "utf-8")
    monkeypatch.setattr(style_check, "CEILINGS", ceilings)
    read = style_check.check_tree
    monkeypatch.setattr(style_check, "check_tree", lambda: read(tmp_path))

    page.write_text("nobody\n", "utf-8")
    assert style_check.main([]) == 0
    page.write_text("nobody\n\nanew\n", "utf-8")
    assert style_check.main([]) == 1
    assert "device: 2 phrases, at most 1 allowed" in capsys.readouterr().err
    assert style_check.main(["--lower"]) == 1
    assert json.loads(ceilings.read_text("utf-8")) == {"device": 1, "cloud": 0}
    page.write_text("fine\n", "utf-8")
    assert style_check.main(["--lower"]) == 0
    page.write_text("anew\n", "utf-8")
    assert style_check.main([]) == 1, "a ceiling was raised"


def test_a_folder_without_ceiling_holds_no_phrase() -> None:
    assert style_check.above({"docs": 1}, {"cloud": 1})
    assert not style_check.above({"cloud": 1}, {"cloud": 1})
