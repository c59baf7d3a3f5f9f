"""How the decoder is loaded: from which paths, with which parameters."""

import os
from pathlib import Path

import llama_cpp
import pytest

from duet_device.decoder.llama import Decoder, model_params
from duet_device.errors import ModelProblem


def test_a_path_that_is_not_utf8_reaches_llama_cpp(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/p\xff.gguf"))
    path.write_bytes(b"no model")
    with pytest.raises(ModelProblem, match="cannot load"):
        Decoder(path, 1)


@pytest.mark.parametrize(
    ("says", "repacks"), [(b"AVX2 = 1 | AMX_INT8 = 1 | ", False), (b"AVX2 = 1 | ", True)]
)
def test_a_build_with_amx_does_not_use_it(
    monkeypatch: pytest.MonkeyPatch, says: bytes, repacks: bool
) -> None:
    monkeypatch.setattr(llama_cpp, "llama_print_system_info", lambda: says)
    assert bool(model_params().use_extra_bufts) is repacks
