"""Fetch a decoder from a repository on the Hugging Face hub or a mirror of it (`HF_ENDPOINT`).

`huggingface_hub` fetches, and retries after a broken connection, so its tokens, mirrors and offline
mode all apply. Its files are checked like those of every other source.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from duet_contract.manifest import MANIFEST_NAME, SIGNATURE_NAME, PairFile
from duet_contract.signature import MOST_SIGNATURE_BYTES
from duet_device.errors import CloudUnreachable, ModelProblem, UntrustedPair, UsageProblem
from duet_device.pairs.pulling.source import MOST_MANIFEST_BYTES, Progress, size_of

PREFIX = "hub:"
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


class HubSource:
    """A repository that holds a pair.

    Args:
        repository: as "ORG/NAME", or "ORG/NAME@REVISION".
        make_scratch: makes an empty directory for what is being fetched; deleted by `close`.

    Raises:
        UsageProblem: malformed, or `huggingface_hub` is not installed.
        ModelProblem: the directory cannot be created.
    """

    def __init__(self, repository: str, make_scratch: Callable[[], Path]) -> None:
        self._repository, _, self._revision = repository.partition("@")
        if not _REPOSITORY.fullmatch(self._repository):
            raise UsageProblem(f"{PREFIX}{repository} must be {PREFIX}ORG/NAME[@REVISION]")
        try:
            import huggingface_hub  # noqa: F401
        except ImportError as error:
            raise UsageProblem(
                "Python package huggingface_hub is not installed: pip install huggingface-hub"
            ) from error
        self.name = f"the hub's {self._repository}"
        self._scratch = make_scratch()

    def describe(self) -> tuple[bytes, bytes | None]:
        """See `Source`.

        Raises:
            CloudUnreachable: the hub cannot be reached.
            ModelProblem: there is no such pair.
        """
        manifest = self._download(MANIFEST_NAME, MOST_MANIFEST_BYTES)
        if manifest is None:
            raise ModelProblem(f"{self.name} has no {MANIFEST_NAME}, or does not let you read it")
        signature = self._download(SIGNATURE_NAME, MOST_SIGNATURE_BYTES)
        return manifest.read_bytes(), signature.read_bytes() if signature else None

    def fetch(self, pair: str, file: PairFile, target: Path, progress: Progress) -> None:
        """See `Source`.

        Raises:
            CloudUnreachable: the hub cannot be reached.
            ModelProblem, UntrustedPair: it has no such file, or a larger one.
        """
        if (held := size_of(target)) == file.bytes:
            return
        got = self._download(file.path, file.bytes)
        if got is None:
            raise ModelProblem(f"{self.name} has no {file.path}")
        got.replace(target)
        progress(file.bytes - held)

    def close(self) -> None:
        """See `Source`."""
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _download(self, path: str, most: int) -> Path | None:
        """Return a file of the repository; None if the repository has no file of that name."""
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
        from huggingface_hub.errors import EntryNotFoundError

        revision = self._revision or None
        with self._errors():
            try:
                found = get_hf_file_metadata(hf_hub_url(self._repository, path, revision=revision))
            except EntryNotFoundError:
                return None
            if found.size is None or found.size > most:
                raise UntrustedPair(
                    f"{path} of {self.name} has {found.size} bytes, at most {most} are expected"
                )
            # All files out of one commit, whatever is pushed meanwhile.
            self._revision = found.commit_hash or self._revision
            return Path(
                hf_hub_download(
                    self._repository,
                    path,
                    revision=self._revision or None,
                    local_dir=self._scratch,
                )
            )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except ModelProblem:
            raise
        except Exception as error:  # what the HTTP library raises changes with the hub's versions
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise CloudUnreachable(f"{self.name} cannot be fetched: {reason}") from error
