"""A whole pair of a few kilobytes: a GGUF that is well-formed, a reasoner that is a file."""

import json
from pathlib import Path

import gguf
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from duet_contract.calibration import Calibration, Threshold
from duet_contract.integrity import describe_file
from duet_contract.manifest import MANIFEST_NAME, Manifest, load_manifest
from duet_contract.signature import sign_pair
from tests.doubles.manifests import manifest_data


def write_gguf(path: Path, values: int = 256) -> None:
    """A GGUF with metadata of every kind and three tensors, the last of them `values` floats."""
    writer = gguf.GGUFWriter(path, "toy")
    writer.add_context_length(64)
    writer.add_token_list(["<s>", "a", "b", "ab"])
    writer.add_token_scores([0.0, 1.0, 2.0, 3.0])
    writer.add_bool("toy.flag", True)
    writer.add_float64("toy.number", 0.5)
    writer.add_tensor("a.weight", np.arange(12, dtype=np.float32).reshape(3, 4))
    blocks = np.arange(2 * 34, dtype=np.uint8).reshape(2, 34)
    writer.add_tensor("b.weight", blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("c.weight", np.arange(values, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_pair(
    directory: Path,
    key: Ed25519PrivateKey | None = None,
    *,
    id: str = "toy",  # noqa: A002
    version: str = "1.0.0",
    values: int = 256,
) -> Manifest:
    """Writes a pair to `directory`, signed if there is a key."""
    (directory / "decoder").mkdir(parents=True)
    (directory / "reasoner").mkdir()
    decoder, reasoner = directory / "decoder" / "m.gguf", directory / "reasoner" / "a.json"
    write_gguf(decoder, values)
    reasoner.write_text("{}")
    data = manifest_data(id=id, version=version)
    data["decoder"] |= {"path": "decoder/m.gguf"}
    data["decoder"]["files"] = [describe_file(directory, decoder).model_dump()]
    data["reasoner"]["files"] = [describe_file(directory, reasoner).model_dump()]
    (directory / MANIFEST_NAME).write_text(json.dumps(data))
    if key:
        sign_pair(directory, key)
    return load_manifest(directory)


def calibration_for(manifest: Manifest) -> Calibration:
    """A calibration of a pair, with a gate."""
    gate = Threshold(
        measure="margin", at_least=0.5, risk=0.1, failure=0.05, trusted=0.4, right=0.93,
        signal_tokens=7.5,
    )  # fmt: skip
    return Calibration(
        schema=1, pair=manifest.reference, decoder_sha256=manifest.decoder_sha256, data="sums",
        questions=500, tokens=12.5, gate=gate,
    )  # fmt: skip
