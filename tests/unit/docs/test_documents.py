"""README and pages: their size, their links, and the commands that they name."""

import importlib
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import pytest
import yaml

import command_help
import figures
import offline_check
import pictures
import record
from drawing import SCHEMES, Scheme

ROOT = Path(__file__).parents[3]
PROJECTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["uv"]["workspace"][
    "members"
]
README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").glob("*.md"))
_FENCED = re.compile(r"^```[a-z]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(duet-(?:device|cloud|bench|train) [^`\n]+)`")
_PROGRAM = re.compile(r"duet-(device|cloud|bench|train)(?= )")
_MODULE = re.compile(r"\bduet_(?:contract|cloud|device|pairs|report|tools|training)(?:\.\w+)+")
_PATH = re.compile(r"`((?:cloud|device|docs|proto|tests|tools|training)/[\w./-]*\w)`")
# A link to a file of this repository; `#only-dark` belongs to the site's theme.
_TARGET = re.compile(r"\]\((?![a-z]+:)([^)\s]+?)(?:#only-[a-z]+)?\)")
_LINK = re.compile(r"(?:\]\(|srcset=\"|src=\")([^)\"#]+)")


def command_lines(text: str) -> Iterator[str]:
    """Commands of ours, in code blocks and in sentences, without what a shell takes for itself."""
    blocks = "\n".join(block.replace("\\\n", " ") for block in _FENCED.findall(text))
    for line in [*blocks.splitlines(), *_INLINE.findall(text)]:
        command = line.split("|", 1)[-1] if "| duet-" in line else line
        if found := _PROGRAM.match(command.strip()):
            yield command.strip()[found.start() :]


@pytest.fixture(scope="module")
def programs() -> dict[str, click.Group]:
    found = (importlib.import_module(module).PROGRAM for module in command_help.PROGRAMS)
    return {program.name: program.group() for program in found}


def unknown(line: str, programs: dict[str, click.Group]) -> list[str]:
    """Subcommands and options of a line that do not exist."""
    name, *words = shlex.split(line, comments=True)
    command: click.Command = programs[name]
    context = click.Context(command, info_name=name)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        child = command.get_command(context, words[0])
        if child is None:
            return [words[0]]
        context = click.Context(child, info_name=words.pop(0), parent=context)
        command = child
    if command.ignore_unknown_options or command.context_settings.get("ignore_unknown_options"):
        return []
    options = {opt for each in command.params for opt in (*each.opts, *each.secondary_opts)}
    options |= set(context.help_option_names)
    return [word for word in words if re.match(r"--?[a-z]", word) and word not in options]


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.name)
def test_commands_exist(page: Path, programs: dict[str, click.Group]) -> None:
    wrong = {
        line: names
        for line in command_lines(page.read_text("utf-8"))
        if (names := unknown(line, programs))
    }
    assert not wrong


def test_a_wrong_command_is_found(programs: dict[str, click.Group]) -> None:
    text = "```\nx | duet-device ask --sever A:1 \\\n  'Q'\n```\nand `duet-cloud sevre --pair P`"
    assert [unknown(line, programs) for line in command_lines(text)] == [["--sever"], ["sevre"]]


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    text = README.read_text("utf-8")
    assert len(text.splitlines()) <= 120
    links = [link for link in _LINK.findall(text) if "://" not in link]
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize(
    "project", ["proto", "device", "cloud", "training", "tools", "tools/report"]
)
def test_a_packages_readme_is_short_and_names_each_file(project: str) -> None:
    text = (ROOT / project / "README.md").read_text("utf-8")
    assert 30 <= len(text.splitlines()) <= 50
    (package,) = (ROOT / project).glob("duet_*/__init__.py")
    missing = []
    for path in sorted(package.parent.iterdir()):
        name = f"{path.name}/" if path.is_dir() else path.name
        if not name.startswith("_") and (path.suffix == ".py" or (path / "__init__.py").exists()):
            missing += [] if f"{name}`" in text or f"`{name}" in text else [name]
    assert missing == []


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as MkDocs and GitHub name them."""
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", each).lower()) for each in headings}


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.name)
def test_links_lead_to_a_page_and_a_heading(page: Path) -> None:
    """The strict build of the site refuses others too, but the tests have no MkDocs."""
    wrong = []
    for link in _TARGET.findall(re.sub(r"`[^`]*`", "", _FENCED.sub("", page.read_text("utf-8")))):
        name, _, anchor = link.partition("#")
        path = page.parent / name if name else page
        if name.startswith("experiments/plots/"):  # `site_hooks` adds them to the site
            path = ROOT / "training" / name
        is_outside = page != README and name.startswith("..")
        if is_outside or not path.exists() or (anchor and anchor not in anchors(path)):
            wrong.append(link)
    assert wrong == []


def test_a_site_that_loads_something_from_elsewhere_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "a.html"
    page.write_text('<a href="https://x.org/"></a><link rel="canonical" href="https://x.org">')
    assert offline_check.main(str(tmp_path)) == 0
    for tag in ('<script src="//x.org/a.js">', '<link rel="stylesheet" href="https://x.org/a">'):
        page.write_text(tag)
        assert offline_check.main(str(tmp_path)) == 1
        assert "loads" in capsys.readouterr().err
    page.write_text("")
    (tmp_path / "a.css").write_text("@font-face { src: url('https://x.org/f.woff') }")
    assert offline_check.main(str(tmp_path)) == 1
    assert offline_check.main(str(tmp_path / "missing")) == 1


def test_a_recording_shows_what_the_terminal_shows_last() -> None:
    output = (
        "\x1b[?25lloading 1 s\r\x1b[2Kloading 2 s\r\n\x1b[1A\x1b[2Kcloud service ready\r\n"
        "$ duet-device ask 'Q'\r\n\x1b[1manswer\x1b[0m\r\n\r\ncloud service stopped\r\n"
    )
    lines = record.screen(output)
    assert lines[0] == "cloud service ready"
    shown = record.question_alone(lines)
    assert shown == ["$ duet-device ask 'Q'", "\x1b[1manswer\x1b[0m"]
    svg = record.drawn("title", shown, 40)
    assert "answer" in svg
    assert "url(http" not in svg
    assert record.drawn("title", shown, 40) == svg


def test_a_command_runs_in_a_terminal() -> None:
    code, output = record.run(["sh", "-c", "test -t 1 && echo $COLUMNS; exit 3"], 77)
    assert (code, output.strip()) == (3, "77")


def test_the_table_of_pairs_has_a_row_a_pair_and_the_committed_numbers() -> None:
    pairs = figures.released_pairs()
    head, _, *rows = figures.pairs_table(pairs).splitlines()
    assert len(rows) == len(pairs) >= 2
    assert {row.count("|") for row in rows} == {head.count("|")}
    stories = next(row for row in rows if "`stories-5m`" in row)
    assert "| 5.6M, trained from scratch | 2.2M |" in stories
    assert "| 96% / 97% | 15 / 30 | 2% to 10% |" in stories


def test_figures_in_sentences_are_the_committed_ones() -> None:
    pairs = {pair.name: pair for pair in figures.released_pairs()}
    stories, private = pairs["stories-5m"], pairs["private-sums-135m"]
    split, alone = stories.held_out["split"], stories.held_out["reasoner"]
    readme = README.read_text("utf-8")
    assert f"**{1 - split['large_tokens'] / alone['large_tokens']:.0%} fewer large-model" in readme
    assert f"at {(alone['accuracy'] - split['accuracy']) * 100:.0f} point less accuracy" in readme
    assert private.held_out["numbers_sent"] == 0
    sets = private.figures["served"]["sets"].values()
    questions = sum(each["questions"] for each in sets)

    def mean(one: str, figure: str) -> float:
        total = sum(each[one][figure] * each["questions"] for each in sets)
        return float(total / questions)

    own, peer = mean("split", "large_tokens"), mean("peer", "large_tokens")
    assert f"takes {1 - own / peer:.0%} fewer tokens" in readme
    measured = json.loads((ROOT / "tools/duet_tools/results/split_cpu.json").read_text("utf-8"))
    (wire,) = (each for each in measured["figures"] if each["id"] == "bytes.ids-cold")
    ratio = wire["peer"]["summary"]["median"] / wire["subject"]["summary"]["median"]
    assert f"**{ratio:.0f} times fewer bytes per token**" in readme
    alone_right = [
        private.held_out["device"]["accuracy"],
        stories.figures["evaluations"]["wide"]["alone"]["accuracy"],
    ]
    device = (ROOT / "docs/device.md").read_text("utf-8")
    own_right, peer_right = mean("split", "accuracy"), mean("peer", "accuracy")
    assert (
        f"right in {own_right:.0%} of these questions, the other one in {peer_right:.0%}" in device
    )
    for shown in re.findall(r"one model alone: about (\d+)", device):
        assert shown == f"{peer:.0f}"
    assert (
        "`private-sums-135m` and `stories-5m` get {:.0%} and {:.0%} of".format(*alone_right)
        in device
    )
    policy = json.loads((ROOT / "tools/duet_tools/results/policy.json").read_text("utf-8"))
    wanted = policy["sets"]["easy-and-hard"]["wanted"]
    gate = next(each["policies"]["gate"] for each in wanted if "saving" in each["goal"])
    assert f"**{gate['calls']['value']:.0%} fewer calls**" in readme
    assert f"costs {-100 * gate['difference']['value']:.1f} points" in readme
    original = stories.original
    assert original
    index = (ROOT / "docs/index.md").read_text("utf-8")
    assert f"that model needed {original['reasoner_tokens']:.0f} tokens" in index


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_pictures_are_well_formed_and_the_same_each_time(scheme: Scheme) -> None:
    pairs = figures.released_pairs()
    drawn = [draw(scheme) for draw in pictures.PICTURES.values()]
    drawn.append(figures.accuracy_plot(pairs, scheme))
    for svg in drawn:
        assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
        assert scheme.ink in svg
    assert drawn[-1] == figures.accuracy_plot(pairs, scheme)


def test_the_page_of_commands_has_every_program() -> None:
    page = command_help.page()
    for name in ("duet-device", "duet-cloud", "duet-bench", "duet-train"):
        assert f"\n## {name}\n" in page
        assert f"Usage: {name} " in page
    assert "\n#### duet-cloud admin invite\n" in page


def _settings() -> dict[str, Any]:
    folder = ROOT / "training/duet_training/settings/conf"
    merged: dict[str, Any] = {}
    for path in sorted(folder.glob("*.yaml")):
        merged |= yaml.safe_load(path.read_text("utf-8"))
    return merged


def test_settings_of_training_exist() -> None:
    text = (ROOT / "docs/training.md").read_text("utf-8")
    code = " ".join([*_FENCED.findall(text), *re.findall(r"`([^`\n]+)`", text)])
    code = re.sub(r"verl=\['[^']*'\]", "verl=", code)  # what VERL itself names
    named = set(re.findall(r"(?<![\w.])([a-z_]+(?:\.[a-z_]+)*)=(?!=)", code))
    named -= {"settings", "run", "hardware"}  # of a shell; a folder of files
    settings = _settings()
    missing = []
    for name in named:
        found: Any = settings
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) and part in found else missing
        if found is missing:
            missing.append(name)
    assert len(named) > 25
    assert missing == []


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.name)
def test_modules_and_files_exist(page: Path) -> None:
    """`duet_cloud.admission`, `duet_device.Client` and `training/GPU.md` are what they say."""
    text = page.read_text("utf-8")
    missing = {name for name in _MODULE.findall(text) if not _is_there(name)}
    paths = (path for path in _PATH.findall(text) if "NAME" not in path)
    missing |= {path for path in paths if not (ROOT / path).exists()}
    assert not missing


def _is_there(name: str) -> bool:
    parts = name.split(".")
    found: Path | None = None
    for folder in PROJECTS:
        for end in range(len(parts), 0, -1):
            path = (ROOT / folder).joinpath(*parts[:end])
            if path.with_suffix(".py").is_file() or path.is_dir():
                found = path if path.is_dir() else path.with_suffix(".py")
                rest = parts[end:]
                break
        if found:
            break
    if found is None or len(rest) > 2:
        return False
    source = found / "__init__.py" if found.is_dir() else found
    return not rest or (source.is_file() and rest[0] in source.read_text("utf-8"))


def test_quoted_errors_exist() -> None:
    """A user looks a symptom up by its words."""
    text = (ROOT / "docs/troubleshooting.md").read_text("utf-8")
    quoted = [each for each in re.findall(r"`([a-z][^`\n]*)`", text) if each.count(" ") >= 2]
    errors = [each for each in quoted if not _PROGRAM.match(each) and "=" not in each]
    sources = "".join(
        path.read_text("utf-8")
        for folder in ("proto", "device", "cloud", "tools", "training")
        for path in sorted((ROOT / folder).rglob("*.py"))
    )
    sources += (ROOT / "Makefile").read_text("utf-8")
    assert len(errors) >= 6
    missing = [
        each
        for each in errors
        if any(part not in sources for part in re.split(r"\b[A-Z]+\b", each))
    ]
    assert missing == []
