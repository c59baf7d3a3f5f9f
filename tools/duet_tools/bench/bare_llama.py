"""llama.cpp's benchmark loop (`llama-bench`, test `tg`), through the library the decoder uses."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llama_cpp

from duet_device.decoder.llama import model_params
from duet_tools.errors import BenchError


class BareLlama:
    """A model without sampling or service: one token per batch, its logits unused.

    `like_device`: without flash attention on a processor, as the device's decoder
    (`llama-bench -fa 0`); otherwise llama.cpp's own choice.
    """

    def __init__(self, path: Path, threads: int, context: int, *, like_device: bool) -> None:
        llama_cpp.llama_backend_init()
        self._model: Any = llama_cpp.llama_model_load_from_file(str(path).encode(), model_params())
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = context
        params.n_threads = params.n_threads_batch = threads
        params.no_perf = True
        if like_device and not llama_cpp.llama_supports_gpu_offload():
            params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self._context: Any = self._model and llama_cpp.llama_init_from_model(self._model, params)
        if not self._context:
            raise BenchError(f"llama.cpp cannot load {path.name}")

    def tokens_per_s(self, prompt: Sequence[int], tokens: Sequence[int]) -> float:
        """Evaluate `prompt`, then time `tokens` one by one."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), True)
        self._decode(prompt)
        llama_cpp.llama_synchronize(self._context)
        began = time.perf_counter()
        for token in tokens:
            self._decode((token,))
            llama_cpp.llama_synchronize(self._context)
        return len(tokens) / (time.perf_counter() - began)

    def close(self) -> None:
        """Free the model."""
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)

    def _decode(self, ids: Sequence[int]) -> None:
        array = (llama_cpp.llama_token * len(ids))(*ids)
        if llama_cpp.llama_decode(self._context, llama_cpp.llama_batch_get_one(array, len(ids))):
            raise BenchError("llama.cpp cannot evaluate")
