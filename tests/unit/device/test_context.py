"""Private material for the decoder: what can be read, and the error for each file that cannot."""

import io
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from duet_device.errors import ExitCode, UsageProblem
from duet_device.privacy import context, conversion, documents
from duet_device.privacy.context import Document, read_context
from tests.doubles import documents as made

PRIVATE = "the safe opens with 4711"


def read(*sources: object, notes: list[str] | None = None) -> tuple[Document, ...]:
    told = [] if notes is None else notes
    return read_context([str(source) for source in sources], told.append)


def write(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@pytest.mark.parametrize(
    "data",
    [
        PRIVATE.encode(),
        b"\xef\xbb\xbf" + PRIVATE.encode(),
        PRIVATE.encode("utf-16"),
        b"\xfe\xff" + PRIVATE.encode("utf-16-be"),
    ],
)
def test_text_is_read_as_it_is(data: bytes, tmp_path: Path) -> None:
    path = write(tmp_path / "notes.md", data)
    assert read(path) == (Document(str(path), PRIVATE),)


@pytest.mark.parametrize("make", [made.pdf, made.docx, made.xlsx, made.pptx])
@pytest.mark.slow
def test_documents_give_their_text_whatever_they_are_called(
    make: Callable[[str], bytes], tmp_path: Path
) -> None:
    path = write(tmp_path / "no extension", make(PRIVATE))
    (document,) = read(path)
    assert PRIVATE in document.text


@pytest.mark.slow
def test_html_gives_its_text(tmp_path: Path) -> None:
    page = f"<html><script>alert()</script><p>{PRIVATE.replace('safe', '<b>safe</b>')}</p></html>"
    (document,) = read(write(tmp_path / "page.html", page))
    assert document.text.strip() == PRIVATE.replace("safe", "**safe**")


def test_nothing_that_a_document_points_to_is_fetched(offline: list[object]) -> None:
    page = f"<html><img src='http://127.0.0.1:9/x.png'><p>{PRIVATE}</p></html>"
    # In this process, where `offline` sees it.
    assert PRIVATE in conversion.convert(page.encode(), "html")["text"]
    drawing = "http://schemas.openxmlformats.org/drawingml/2006"
    picture = (
        f'<w:drawing><wp:inline xmlns:wp="{drawing}/wordprocessingDrawing"><a:graphic '
        f'xmlns:a="{drawing}/main"><a:graphicData><pic:pic xmlns:pic="{drawing}/picture">'
        '<pic:blipFill><a:blip xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/'
        'relationships" r:link="r9"/></pic:blipFill></pic:pic></a:graphicData></a:graphic>'
        "</wp:inline></w:drawing>"
    )
    external = made.docx(
        f"{PRIVATE}</w:t></w:r><w:r>{picture}</w:r><w:r><w:t>",
        **{
            "word/_rels/document.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org'
            '/package/2006/relationships"><Relationship Id="r9" TargetMode="External" '
            'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/image" '
            'Target="http://127.0.0.1:9/x.png"/></Relationships>'
        },
    )
    assert PRIVATE in conversion.convert(external, "docx")["text"]
    assert offline == []


@pytest.mark.parametrize("before", [b"\n", b"\r\n\x80mail\0" * 50, b"x" * 1024])
@pytest.mark.slow
def test_a_pdf_may_begin_late(before: bytes, tmp_path: Path) -> None:
    (document,) = read(write(tmp_path / "mail.pdf", before + made.pdf(PRIVATE)))
    assert PRIVATE in document.text


def test_text_about_pdf_is_text(tmp_path: Path) -> None:
    text = "A file begins with %PDF-1.7."
    assert read(write(tmp_path / "a.md", text))[0].text == text
    late = b"\x80" * 1025 + made.pdf(PRIVATE)
    with pytest.raises(UsageProblem, match="is not UTF-8"):
        read(write(tmp_path / "late.pdf", late))


def nested_runs(depth: int) -> bytes:
    """A document of a few kilobytes that keeps its parser busy for long."""
    return made.docx("x</w:t></w:r>" + "<w:r>" * depth + "</w:r>" * depth + "<w:r><w:t>y")


def paragraphs(count: int) -> bytes:
    """A document of a few kilobytes that is long once it is unpacked."""
    return made.docx("x</w:t></w:r></w:p>" + "<w:p/>" * count + "<w:p><w:r><w:t>y")


def children() -> set[psutil.Process]:
    return set(psutil.Process().children())


@pytest.mark.parametrize("data", [nested_runs(50_000), paragraphs(800_000)])
@pytest.mark.slow
def test_documents_have_a_time_limit_together(data: bytes, tmp_path: Path) -> None:
    slow = write(tmp_path / "slow.docx", data)
    before = children()
    started = time.monotonic()
    with pytest.raises(UsageProblem) as caught:
        read_context([str(slow)], print, timeout=2)
    assert time.monotonic() - started < 60
    assert str(caught.value) == (
        f"{slow} was not read within 2 s (--context-timeout): give more time, or its text"
    )
    assert not children() - before


def test_ctrl_c_stops_a_document_at_once(tmp_path: Path) -> None:
    slow = write(tmp_path / "slow.docx", paragraphs(800_000))
    before = children()
    main = threading.main_thread().ident or 0
    sent: list[float] = []

    def interrupt() -> None:
        while not children() - before:
            time.sleep(0.01)
        time.sleep(0.5)
        sent.append(time.monotonic())
        signal.pthread_kill(main, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        read(slow)
    assert time.monotonic() - sent[0] < 30
    assert not children() - before


def test_a_parser_that_crashes_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(UsageProblem, match=r"cannot be read as PDF \(the reader crashed\)"):
        read(write(tmp_path / "a.pdf", made.pdf(PRIVATE)))


@pytest.mark.slow
def test_many_documents_share_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    start = documents._start
    monkeypatch.setattr(documents, "_start", lambda: started.append(1) or start())
    for number in range(3):
        write(tmp_path / "many" / f"{number}.docx", made.docx(f"{PRIVATE} {number}"))
    texts = [each.text.strip() for each in read(tmp_path / "many")]
    assert texts == [f"{PRIVATE} {number}" for number in range(3)]
    assert len(started) == 1


@pytest.mark.slow
def test_stdin_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(made.pdf(PRIVATE))))
    (document,) = read("-")
    assert document.name == "stdin"
    assert PRIVATE in document.text
    with pytest.raises(UsageProblem, match="once"):
        read("-", "-")


@pytest.mark.slow
def test_folders_are_read_whole_in_order_and_say_what_they_leave_out(tmp_path: Path) -> None:
    folder = tmp_path / "case"
    write(folder / "b.txt", "second")
    write(folder / "a" / "deep.md", "first")
    write(folder / "c.docx", made.docx("third"))
    write(folder / ".git" / "config", "hidden")
    write(folder / "photo.png", b"\x89PNG\r\n\x1a\n\0\0\xff")
    write(folder / "empty.txt", "\n")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    notes: list[str] = []
    read_documents = read(folder, notes=notes)
    assert [(each.name, each.text.strip()) for each in read_documents] == [
        ("case/b.txt", "second"),
        ("case/c.docx", "third"),
        ("case/a/deep.md", "first"),
    ]
    assert notes == ["left out, empty or no text: case/empty.txt, case/photo.png"]


def test_several_sources_keep_their_order(tmp_path: Path) -> None:
    first, second = write(tmp_path / "z", "1"), write(tmp_path / "a", "2")
    assert [each.text for each in read(first, second)] == ["1", "2"]


BAD = {
    "binary": (b"\x7fELF\0\0" + PRIVATE.encode(), "is binary"),
    "binary without NUL": (b"\x01\x02\xff" + PRIVATE.encode(), "is binary"),
    "UTF-16 without a mark": (PRIVATE.encode("utf-16-le"), "is binary"),
    "old encoding": (f"é {PRIVATE}".encode("latin-1"), "is not UTF-8 text (byte 0)"),
    "cut UTF-16": (b"\xff\xfe" + PRIVATE.encode("utf-16-le")[:-1], "is not UTF-8 text"),
    "empty": (b"", "is empty"),
    "only white space": (b" \n\t", "is empty"),
    "encrypted PDF": (made.pdf(PRIVATE, encrypted=True), "is encrypted"),
    "PDF without text": (made.pdf(""), "holds no text (is it scanned?)"),
    "damaged PDF": (b"%PDF-1.7\n" + PRIVATE.encode(), "cannot be read as PDF"),
    "encrypted office": (made.encrypted_office(), "is encrypted"),
    "old office": (made.encrypted_office()[:512], "old office format"),
    "archive": (made.archive({"a.txt": PRIVATE}), "is an archive"),
    "cut archive": (made.docx(PRIVATE)[:-40], "is an archive or a damaged office file"),
    # Each entry of the directory says what version it needs: here, one that there is not.
    "new archive": (
        re.sub(rb"(?s)(PK\x01\x02..).", rb"\1c", made.docx(PRIVATE)),
        "is an archive or a damaged office file",
    ),
    "damaged docx": (made.archive({"word/document.xml": PRIVATE}), "cannot be read as DOCX"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.slow
def test_what_cannot_be_read_is_said_and_not_quoted(name: str, tmp_path: Path) -> None:
    data, said = BAD[name]
    path = write(tmp_path / "file", data)
    with pytest.raises(UsageProblem) as caught:
        read(path)
    message = str(caught.value)
    assert caught.value.exit_code == ExitCode.USAGE
    assert message.startswith(str(path))
    assert said in message
    assert "\n" not in message
    assert not any(PRIVATE[at : at + 12] in message for at in range(len(PRIVATE) - 12))


def test_missing_and_unreadable_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageProblem, match="No such file"):
        read(tmp_path / "nosuch")
    with pytest.raises(UsageProblem, match="cannot read"):
        read("a\0b")
    path = write(tmp_path / "locked", "x")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    # Tests may run as root, who may read everything.
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UsageProblem, match=r"locked: Permission denied"):
        read(path)


def test_names_that_are_not_utf8_have_a_question_mark(tmp_path: Path) -> None:
    folder = tmp_path / "share"
    path = Path(os.fsdecode(os.fsencode(folder / "M") + b"\xfcller.txt"))
    try:
        write(path, PRIVATE)
    except OSError:
        pytest.skip("this file system has UTF-8 names alone")
    write(Path(os.fsdecode(os.fsencode(folder / "L") + b"\xf6we.bin")), b"\0\1")
    notes: list[str] = []
    named, inside = read(path, folder, notes=notes)
    assert named == Document(f"{folder}/M?ller.txt", PRIVATE)
    assert inside == Document("share/M?ller.txt", PRIVATE)
    assert notes == ["left out, empty or no text: share/L?we.bin"]


def test_huge_text_is_read_no_further_than_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "MOST_TEXT_BYTES", 1000)
    monkeypatch.setattr(context, "MOST_DOCUMENT_BYTES", 2000)
    with pytest.raises(UsageProblem, match="more than 1000 bytes"):
        read(write(tmp_path / "a", "x" * 1001))
    with pytest.raises(UsageProblem, match="more than 2000 bytes"):
        read(write(tmp_path / "b.pdf", b"%PDF-1.4\n" + b"x" * 3000))
    half = write(tmp_path / "c", "x" * 600)
    with pytest.raises(UsageProblem, match="1200 bytes of text, at most 1000"):
        read(half, half)
    with pytest.raises(UsageProblem, match="more than 1000 bytes"):
        read("/dev/zero")


def test_a_document_that_unpacks_to_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "MOST_UNPACKED_BYTES", 100_000)
    bomb = made.docx("x", **{"word/media/image.png": "\0" * 1_000_000})
    assert len(bomb) < 10_000
    with pytest.raises(UsageProblem, match=r"unpacks to 1\d{6} bytes, at most 100000"):
        read(write(tmp_path / "bomb.docx", bomb))


def test_folders_without_text_or_with_too_many_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageProblem, match="holds no text"):
        read(tmp_path)
    monkeypatch.setattr(context, "MOST_FILES", 3)
    for number in range(4):
        write(tmp_path / str(number), "x")
    with pytest.raises(UsageProblem, match="more than 3 files"):
        read(tmp_path)


def test_without_markitdown_text_is_read_and_documents_say_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "markitdown", None)
    assert read(write(tmp_path / "a.md", PRIVATE))[0].text == PRIVATE
    with pytest.raises(UsageProblem, match=r"pip install 'markitdown"):
        read(write(tmp_path / "b.pdf", made.pdf(PRIVATE)))
