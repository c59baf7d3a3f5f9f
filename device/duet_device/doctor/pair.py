"""Checks of the installed pair: its files and who signed it."""

from duet_contract.errors import ContractError
from duet_contract.integrity import verify_files
from duet_device.doctor.check import Finding, Machine
from duet_device.errors import UntrustedPair
from duet_device.trust.signatures import check_installed, signature_state


def model(machine: Machine) -> Finding:
    """Whether the decoder's files are what their manifest says."""
    pair = machine.pair
    decoder = pair.manifest.decoder
    try:
        # Hashed again, whatever is remembered of them.
        verify_files(pair.directory, pair.manifest.device_files, gguf=(decoder.path,))
    except ContractError as error:
        built = (pair.directory / pair.manifest.reasoner.path).exists()
        again = f"duet-cloud pairs build {pair.manifest.id}" if built else machine.pull
        return Finding("error", str(error), again)
    size = sum(file.bytes for file in decoder.files)
    return Finding("ok", f"{pair.manifest.reference}, {size / 1e6:,.1f} MB in {pair.directory}")


def signature(machine: Machine) -> Finding:
    """Whether a trusted publisher signed the pair."""
    pair = machine.pair
    try:
        check_installed(pair.directory, pair.manifest, allow_unsigned=False)
    except UntrustedPair as error:
        return Finding("error", str(error))
    return Finding("ok", signature_state(pair.directory, pair.manifest))
