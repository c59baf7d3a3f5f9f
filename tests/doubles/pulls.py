"""`duet-device pull` of the pair `toy`, and what comes of it."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from duet_contract.manifest import load_manifest
from duet_device.cli import main
from tests.doubles.pair_cloud import PairCloud

KEY, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))


def pull(cloud: PairCloud, *arguments: str) -> int:
    """Its exit code."""
    return main(["pull", "--server", cloud.address, *arguments])


def refused(
    code: int, capsys: pytest.CaptureFixture[str], said: str, home: Path, exit_code: int = 6
) -> None:
    """Ended with one line, and nothing was installed."""
    out, err = capsys.readouterr()
    assert code == exit_code, err
    assert out == ""
    assert said in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("duet-device: ")
    assert not (home / "toy").exists()


def is_installed(home: Path, origin: Path, *, signed: bool = True) -> bool:
    """Whether what a device needs of `origin` is there, byte for byte, and nothing else."""
    wanted = {"manifest.json", *(file.path for file in load_manifest(origin).device_files)}
    wanted |= {"model.sig"} if signed else set()
    there = {path.relative_to(home / "toy").as_posix() for path in (home / "toy").rglob("*.*")}
    return there == wanted and all(
        (home / "toy" / name).read_bytes() == (origin / name).read_bytes() for name in wanted
    )
