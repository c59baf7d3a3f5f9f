"""Each project's sdist and wheel: built from what git tracks, checked, installed elsewhere."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
WORKSPACE = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["uv"]
# Each project's folder, and the package in it.
PROJECTS = {
    member: next((ROOT / member).glob("*/py.typed")).parent.name
    for member in WORKSPACE["workspace"]["members"]
}
# Training's libraries are in an environment of its own.
INSTALLED = [each for each in PROJECTS if each != "training"]
LAPTOP = ["proto", "device"]
# Text alone, 440 kB of it: a model, a library or a data file among it would be seen.
LAPTOP_BYTES = 550_000
WEIGHTS = {".bin", ".gguf", ".onnx", ".pt", ".pth", ".safetensors"}
# Names that were once this repository's own, and that users give to files of theirs.
USERS_FILES = ["cloud", "contract", "device", "proto", "tools", "training"]


class Built(NamedTuple):
    """What a project's build left."""

    sdist: Path
    """Source archive."""
    wheel: Path
    """Wheel."""


def _run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "DUET_"))}
    result = subprocess.run(
        command,
        cwd=cwd,
        env={**variables, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    return result


def _tracked(folder: str) -> list[str]:
    """Files that git tracks below a folder, relative to it."""
    listed = _run("git", "ls-files", "-z", "--", folder, cwd=ROOT).stdout
    return [
        str(PurePosixPath(name).relative_to(folder))
        for name in listed.split("\0")
        if name and (ROOT / name).exists()
    ]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Built]:
    """Builds every project as `python -m build` does: a sdist, and the wheel from that sdist."""

    # Not by the threads: the factory's first directory is made without a lock.
    places = {project: tmp_path_factory.mktemp(name) for project, name in PROJECTS.items()}

    def build(project: str) -> Built:
        # A copy: setuptools leaves files next to the project, and takes up what it finds there.
        place = places[project]
        for name in _tracked(project):
            target = place / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / project / name, target)
        out = place / "dist"
        _run(
            *(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, place / "source"),
            cwd=place,
        )
        (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
        return Built(sdist, wheel)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(PROJECTS, pool.map(build, PROJECTS), strict=True))


def _members(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def _metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(archive.read(name).decode())


def test_twine_finds_nothing_to_say(built: dict[str, Built], tmp_path: Path) -> None:
    files = [file for each in built.values() for file in each]
    _run(sys.executable, "-m", "twine", "check", "--strict", *files, cwd=tmp_path)


@pytest.mark.parametrize("project", PROJECTS)
def test_a_wheel_holds_the_package_that_git_tracks_and_nothing_else(
    built: dict[str, Built], project: str
) -> None:
    package = PROJECTS[project]
    members = {n for n in _members(built[project].wheel) if ".dist-info/" not in n}
    assert members == {f"{package}/{name}" for name in _tracked(f"{project}/{package}")}
    assert f"{package}/py.typed" in members


@pytest.mark.parametrize("project", PROJECTS)
def test_a_sdist_holds_what_builds_the_wheel(built: dict[str, Built], project: str) -> None:
    package = PROJECTS[project]
    with tarfile.open(built[project].sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", "PKG-INFO"} <= names
    assert {f"{package}/{name}" for name in _tracked(f"{project}/{package}")} <= names
    assert not [name for name in names if "tests" in PurePosixPath(name).parts]


@pytest.mark.parametrize("project", PROJECTS)
def test_a_wheel_states_licence_versions_and_urls(built: dict[str, Built], project: str) -> None:
    wheel = built[project].wheel
    metadata = _metadata(wheel)
    (licence,) = (n for n in _members(wheel) if n.endswith(".dist-info/licenses/LICENSE"))
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Author"]
    assert metadata.get_all("Project-URL")
    assert str(metadata.get_payload()).startswith(f"# {metadata['Name']}: ")
    versions = {
        each.rpartition(" ")[2]
        for each in metadata.get_all("Classifier", [])
        if each.startswith("Programming Language :: Python :: 3.")
    }
    # vLLM is what keeps newer versions out, and the cloud and training alone use it.
    served = project in ("cloud", "training")
    assert versions == ({"3.11", "3.12"} if served else {"3.11", "3.12", "3.13", "3.14"})
    assert metadata["Requires-Python"] in (("<3.13,>=3.11",) if served else (">=3.11",))


def test_weights_are_in_the_wheel_of_the_pairs_alone(built: dict[str, Built]) -> None:
    with_weights = {
        project
        for project, files in built.items()
        if any(PurePosixPath(name).suffix in WEIGHTS for name in _members(files.wheel))
    }
    assert with_weights == {"cloud/pairs"}


def test_the_laptops_wheels_are_small(built: dict[str, Built]) -> None:
    assert sum(built[each].wheel.stat().st_size for each in LAPTOP) <= LAPTOP_BYTES


def test_the_contract_brings_its_protos(built: dict[str, Built]) -> None:
    protos = {n for n in _members(built["proto"].wheel) if n.endswith(".proto")}
    assert protos == {
        f"duet_contract/v1/{each}.proto" for each in ("control", "enrollment", "inference", "pairs")
    }


def test_the_workspace_names_every_project() -> None:
    listed = _run("git", "ls-files", "--", "*/pyproject.toml", cwd=ROOT).stdout.split()
    assert {str(PurePosixPath(each).parent) for each in listed} == set(PROJECTS)


class Environment:
    """A new environment with wheels of these projects; other libraries are the test's own."""

    def __init__(self, place: Path, wheels: list[Path]) -> None:
        _run(sys.executable, "-m", "venv", "--without-pip", place, cwd=place.parent)
        self.python = place / "bin" / "python"
        self.scripts = place / "bin"
        here = next(iter((place / "lib").glob("python*/site-packages")))
        # Python does not read the .pth files of a folder that a .pth file adds, so that editable
        # installs there stay out: what is ours comes from the wheels.
        libraries = sysconfig.get_path("purelib")
        (here / "libraries.pth").write_text(libraries, "utf-8")
        pip = (sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet")
        _run(*pip, "--no-deps", "--no-index", *wheels, cwd=place.parent)

    def run(self, *command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Runs a command where the user keeps files with names that ours once had."""
        for name in USERS_FILES:
            (cwd / f"{name}.py").write_text("raise SystemExit('the user\\'s own file')\n", "utf-8")
        return _run(*command, cwd=cwd, HOME=str(cwd))


@pytest.fixture(scope="session")
def laptop(built: dict[str, Built], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Device and contract alone."""
    place = tmp_path_factory.mktemp("laptop") / "venv"
    return Environment(place, [built[each].wheel for each in LAPTOP])


@pytest.fixture(scope="session")
def host(built: dict[str, Built], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """All but training."""
    place = tmp_path_factory.mktemp("host") / "venv"
    return Environment(place, [built[each].wheel for each in INSTALLED])


def test_a_laptop_runs_the_first_commands(laptop: Environment, tmp_path: Path) -> None:
    device = laptop.scripts / "duet-device"
    version = tomllib.loads((ROOT / "device" / "pyproject.toml").read_text("utf-8"))["project"]
    assert version["version"] in laptop.run(device, "--version", cwd=tmp_path).stdout
    assert "Usage: duet-device" in laptop.run(device, "--help", cwd=tmp_path).stdout
    assert laptop.run(device, "pairs", cwd=tmp_path).returncode == 0


def test_a_laptop_has_neither_cloud_nor_training(laptop: Environment, tmp_path: Path) -> None:
    """Also: the packages come from the wheels, whatever the directory holds."""
    program = """
import importlib.util, pathlib, sys
import duet_contract.manifest, duet_device.decoder.llama
for package in (duet_contract, duet_device):
    assert pathlib.Path(package.__file__).is_relative_to(sys.prefix), package.__file__
absent = ("duet_cloud", "duet_pairs", "duet_tools", "duet_training")
print([name for name in absent if importlib.util.find_spec(name)])
"""
    assert laptop.run(laptop.python, "-c", program, cwd=tmp_path).stdout.strip() == "[]"


def test_llm_finds_its_plugin(host: Environment, tmp_path: Path) -> None:
    plugins = json.loads(host.run(host.python, "-m", "llm", "plugins", cwd=tmp_path).stdout)
    (ours,) = (plugin for plugin in plugins if plugin["name"] == "llm-duet")
    assert ours["hooks"] == ["register_models"]


@pytest.mark.parametrize("project", INSTALLED)
def test_each_installed_command_says_how_it_is_used(
    host: Environment, tmp_path: Path, project: str
) -> None:
    described = tomllib.loads((ROOT / project / "pyproject.toml").read_text("utf-8"))["project"]
    for script in described.get("scripts", ()):
        assert script in host.run(host.scripts / script, "--help", cwd=tmp_path).stdout
    package = PROJECTS[project]
    program = f"import sys, {package} as p; assert p.__file__.startswith(sys.prefix), p.__file__"
    host.run(host.python, "-c", program, cwd=tmp_path)
