"""Runs llama.cpp's converter: `python -m duet_training.export.convert`, a process of `gguf_files`.

A process of its own keeps the converter's logging, patches and copy of `gguf` away from ours. One
thing is changed in it: a vocabulary that it does not know takes the pre-tokenizer it was given.

Arguments: DIRECTORY MODEL OUT TYPE PRE-TOKENIZER; the last may be empty.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

UNKNOWN_TOKENIZER = 4


def main(arguments: list[str]) -> int:
    """Convert; `UNKNOWN_TOKENIZER`, or what the converter makes of it."""
    directory, model, out, kind, pretokenizer = arguments
    sys.path[:0] = [directory, str(Path(directory) / "gguf-py")]
    converter = importlib.import_module("convert_hf_to_gguf")
    text_model = importlib.import_module("conversion.base").TextModel
    recognise = text_model.get_vocab_base_pre

    def recognised(self: Any, tokenizer: Any) -> str:
        try:
            return str(recognise(self, tokenizer))
        except NotImplementedError:
            if pretokenizer:
                return pretokenizer
            sys.exit(UNKNOWN_TOKENIZER)

    text_model.get_vocab_base_pre = recognised
    sys.argv = ["convert_hf_to_gguf", model, "--outfile", out, "--outtype", kind]
    converter.main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
