"""Uploads a pair's models to the Hugging Face hub, each in the layout that its programs load.

OWNER/NAME            the pair: manifest, reasoner, GGUF decoders, parity
OWNER/NAME-reasoner   the reasoner, for transformers and vLLM
OWNER/NAME-decoder    the decoder, for transformers, if the export kept it (`keep_decoder`)
"""

from pathlib import Path

from httpx import HTTPError
from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError, LocalTokenNotFoundError
from huggingface_hub.utils._validators import validate_repo_id

from duet_contract.errors import ContractError
from duet_contract.integrity import verify_files
from duet_contract.manifest import load_manifest
from duet_training.errors import ConfigError, ExportError, one_line
from duet_training.export.build import MERGED


def check_repository(repository: str) -> None:
    """Check a name before the work that it is given for.

    Raises:
        ConfigError: It is not OWNER/NAME.
    """
    try:
        validate_repo_id(f"{repository}-reasoner")
    except HFValidationError as error:
        raise ConfigError(f"{repository!r} is not a hub repository: {one_line(error)}") from error
    if repository.count("/") != 1:
        raise ConfigError(f"{repository!r} is not a hub repository: give OWNER/NAME")


def push(pair: Path, repository: str, *, public: bool = False) -> list[str]:
    """Upload an exported pair to OWNER/NAME and its models' repositories; return their names.

    Repositories are created if missing. Files there of the same name are replaced by a commit; the
    hub keeps earlier ones.

    Raises:
        ConfigError: The name is invalid.
        ExportError: The directory is not a whole pair, or the hub refuses the upload.
    """
    check_repository(repository)
    try:
        manifest = load_manifest(pair)
        verify_files(pair, (*manifest.reasoner.files, *manifest.decoder.files))
    except ContractError as error:
        raise ExportError(f"cannot push {pair}: {error}") from error
    folders = {repository: pair, f"{repository}-reasoner": pair / "reasoner"}
    if (decoder := pair / MERGED / "decoder").is_dir():
        folders[f"{repository}-decoder"] = decoder
    hub = HfApi()
    for name, folder in folders.items():
        try:
            hub.create_repo(name, private=not public, exist_ok=True)
            hub.upload_folder(
                repo_id=name,
                folder_path=folder,
                ignore_patterns=[f"{MERGED}/**"] if folder == pair else None,
                commit_message=f"{manifest.reference}, trained for the split",
            )
        except (HTTPError, OSError, ValueError, LocalTokenNotFoundError) as error:
            raise ExportError(
                f"cannot push to {name}: {one_line(error)}; after `hf auth login`, or with "
                f"HF_TOKEN set: duet-train push {pair} {repository}"
            ) from error
    return list(folders)
