"""Fetches llama.cpp's own converter to GGUF.

llama-cpp-python's source archive contains the converter, its wheels do not. This module fetches the
archive of the installed version once with pip and caches it: conversion and run time then have the
same commit. A repackaged converter on PyPI has other commits and installs a second `gguf`.

`duet-train converter` fetches it in advance, for hosts that are offline later.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path, PurePosixPath

from platformdirs import user_cache_path

from duet_training.errors import ExportError
from duet_training.export.processes import run

_DISTRIBUTION = "llama-cpp-python"
_SCRIPT = "convert_hf_to_gguf.py"
_WANTED = (_SCRIPT, "conversion", "gguf-py")
_SECONDS = 600


def converter_directory(given: Path | None) -> Path:
    """Return a directory with `convert_hf_to_gguf.py` and its imports.

    `given` is a source tree of llama.cpp or llama-cpp-python; None uses the cache.

    Raises:
        ExportError: The converter is missing, or cannot be fetched.
    """
    if given is not None:
        for directory in (given, given / "vendor" / "llama.cpp"):
            if (directory / _SCRIPT).is_file():
                return directory.resolve()
        raise ExportError(f"converter={given} has no {_SCRIPT}")
    cached = user_cache_path("duet") / f"llama.cpp-{version(_DISTRIBUTION)}"
    if not (cached / _SCRIPT).is_file():
        _fetch(cached)
    return cached


def _fetch(target: Path) -> None:
    release = version(_DISTRIBUTION)
    print(f"fetching llama.cpp's converter ({_DISTRIBUTION} {release}, its source)", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
        command += ["--no-binary", _DISTRIBUTION, "--dest", scratch, f"{_DISTRIBUTION}=={release}"]
        try:
            code, reason = run(command, _SECONDS)
            archives = list(Path(scratch).glob("*.tar.gz"))
            if code or not archives:
                raise ExportError(_cannot(release, reason))
            _unpack(archives[0], target)
        except (OSError, tarfile.TarError, subprocess.TimeoutExpired) as error:
            raise ExportError(_cannot(release, str(error))) from error


def _cannot(release: str, reason: str) -> str:
    return (
        f"cannot fetch llama.cpp's converter: {reason}; unpack the source archive of "
        f"{_DISTRIBUTION} {release} and name its directory with converter=DIR"
    )


def _unpack(archive: Path, target: Path) -> None:
    """Extract the converter from the archive to `target`, atomically."""
    partial = target.with_name(f"{target.name}.partial-{os.getpid()}")
    with tarfile.open(archive) as source:
        for member in source:
            parts = PurePosixPath(member.name).parts  # NAME-VERSION/vendor/llama.cpp/...
            if member.isfile() and parts[1:3] == ("vendor", "llama.cpp") and parts[3] in _WANTED:
                member.name = str(PurePosixPath(*parts[3:]))
                source.extract(member, partial, filter="data")
    if not (partial / _SCRIPT).is_file():
        raise tarfile.TarError(f"{archive.name} holds no {_SCRIPT}")
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
