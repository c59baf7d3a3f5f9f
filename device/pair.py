"""The pair on this device: its manifest at once, its decoder after its file was verified."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from device.errors import ModelProblem
from device.settings import default_threads
from duet_contract.errors import ContractError
from duet_contract.integrity import verify_files
from duet_contract.manifest import Manifest, load_manifest
from duet_contract.pairs import find_pair

if TYPE_CHECKING:
    from device.decoder import Decoder


@dataclass(frozen=True)
class Pair:
    """A pair's directory and what its manifest says."""

    directory: Path
    manifest: Manifest


def open_pair(name_or_directory: str) -> Pair:
    """Finds a pair and reads its manifest; the models' files are not touched.

    Raises:
        ModelProblem: there is no such pair, or its manifest cannot be used.
    """
    try:
        directory = find_pair(name_or_directory)
        return Pair(directory, load_manifest(directory))
    except ContractError as error:
        raise ModelProblem(str(error)) from error


def load_decoder(pair: Pair, threads: int | None = None) -> "Decoder":
    """Verifies the decoder's file against the manifest, then loads it.

    Raises:
        ModelProblem: the file is missing, truncated or altered, or llama.cpp cannot load it.
    """
    decoder = pair.manifest.decoder
    try:
        verify_files(pair.directory, decoder.files)
    except ContractError as error:
        raise ModelProblem(str(error)) from error
    from device.decoder import Decoder

    return Decoder(pair.directory / decoder.path, threads or default_threads())
