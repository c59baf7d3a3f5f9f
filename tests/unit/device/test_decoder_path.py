"""Paths that the decoder is loaded from."""

import os
from pathlib import Path

import pytest

from duet_device.decoder.llama import Decoder
from duet_device.errors import ModelProblem


def test_a_path_that_is_not_utf8_reaches_llama_cpp(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/p\xff.gguf"))
    path.write_bytes(b"no model")
    with pytest.raises(ModelProblem, match="cannot load"):
        Decoder(path, 1)
