"""The pair on this device: its manifest at once, its decoder after all of it was verified."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from duet_contract.errors import ContractError
from duet_contract.integrity import verify_files
from duet_contract.manifest import Manifest, load_manifest
from duet_contract.pairs import DEFAULT_PAIR, find_pair, pairs_home, pairs_in
from duet_contract.verified import Verified
from duet_device.errors import ModelProblem, UsageProblem
from duet_device.settings import default_threads

if TYPE_CHECKING:
    from duet_device.decoder.llama import Decoder


@dataclass(frozen=True)
class Pair:
    """A pair's directory and its manifest.

    Examples:
        >>> pair = open_pair("private-sums-135m")
        >>> pair.directory.name, pair.manifest.id
        ('private-sums-135m', 'private-sums-135m')
    """

    directory: Path
    """Directory of the pair."""
    manifest: Manifest
    """The parsed manifest."""
    allow_unsigned: bool = False
    """See `duet_device.trust.signatures.check_signature`."""


def open_pair(name_or_directory: str, *, allow_unsigned: bool = False) -> Pair:
    """Find a pair and read its manifest; the models' files are not touched.

    Raises:
        ModelProblem: there is no such pair, or its manifest cannot be used.

    Examples:
        >>> from duet_device import open_pair
        >>> pair = open_pair("private-sums-135m")
        >>> pair.manifest.id
        'private-sums-135m'
    """
    try:
        directory = find_pair(name_or_directory)
        return Pair(directory, load_manifest(directory), allow_unsigned)
    except ContractError as error:
        raise ModelProblem(str(error)) from error


def default_pair() -> str:
    """Return the pair of a question that names none; "" if none is installed.

    Raises:
        UsageProblem: several are installed, and none is the default.
    """
    names = list(pairs_in(pairs_home()))
    if len(names) > 1 and DEFAULT_PAIR not in names:
        raise UsageProblem(
            f"several pairs are installed ({', '.join(names)}): give --pair, or choose one with: "
            f"duet-device config set pair {names[0]}"
        )
    return DEFAULT_PAIR if DEFAULT_PAIR in names else "".join(names)


def chosen_pair(named: str | None) -> str:
    """Return the name or directory of the pair that answers.

    Raises:
        UsageProblem: several pairs are installed, and none is named.
    """
    return named or default_pair() or DEFAULT_PAIR


def load_decoder(pair: Pair, threads: int | None = None) -> "Decoder":
    """Verify signature, files and GGUF header of a pair's decoder, then load it.

    A file that has not changed since it was last hashed is not hashed again.

    Raises:
        UntrustedPair: no publisher that this device trusts has signed the pair.
        ModelProblem: a file is missing, truncated or altered, or llama.cpp cannot load it.
    """
    # The question is on its way by now: what it did not need is imported here.
    from duet_device.trust.signatures import check_installed

    decoder = pair.manifest.decoder
    try:
        check_installed(pair.directory, pair.manifest, allow_unsigned=pair.allow_unsigned)
        verify_files(
            pair.directory, pair.manifest.device_files, gguf=(decoder.path,), verified=Verified()
        )
    except ContractError as error:
        raise ModelProblem(str(error)) from error
    from duet_device.decoder.llama import Decoder
    from duet_device.decoder.threads import stored_threads

    threads = threads or stored_threads(pair.manifest) or default_threads()
    return Decoder(pair.directory / decoder.path, threads)
