"""A GGUF in llama.cpp, as the device runs it: tokens, log-probs of a given text, greedy answers."""

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from duet_training.errors import ExportError

_CHUNK = 256
_ERROR_LEVEL = 3
_lines: list[str] = []


# Kept alive by the module: llama.cpp calls it for as long as the process lives.
@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _log(level: int, text: bytes, _: ctypes.c_void_p) -> None:
    if level == _ERROR_LEVEL:
        _lines.append(text.decode("utf-8", "replace").strip())
        del _lines[:-20]


llama_cpp.llama_log_set(_log, ctypes.c_void_p(0))


@contextmanager
def llama_error() -> Iterator[Callable[[], str]]:
    """Give a function that says what llama.cpp complained of inside, as an error's tail."""
    _lines.clear()
    yield lambda: f": {_lines[-1]}" if _lines else ""


class LlamaModel:
    """A loaded GGUF; also the `duet_contract.vocabulary.Tokenizer` of its vocabulary.

    `tokenizer_only` leaves the weights out.

    Raises:
        ExportError: llama.cpp cannot load the file.
    """

    def __init__(self, file: Path, threads: int, *, tokenizer_only: bool = False) -> None:
        self._threads, self._room = threads, 0
        self._context: Any = None
        llama_cpp.llama_backend_init()
        options = llama_cpp.llama_model_default_params()
        options.vocab_only = tokenizer_only
        # llama.cpp's AMX code may end the process: see `model_params` of `duet_device.decoder.llama`.
        options.use_extra_bufts = b"AMX_INT8 = 1" not in llama_cpp.llama_print_system_info()
        with llama_error() as because:
            self._model = llama_cpp.llama_model_load_from_file(str(file).encode(), options)
            if not self._model:
                raise ExportError(f"llama.cpp cannot load {file.name}{because()}")
        self._vocabulary = llama_cpp.llama_model_get_vocab(self._model)
        self.size = int(llama_cpp.llama_vocab_n_tokens(self._vocabulary))
        self._batch = llama_cpp.llama_batch_init(_CHUNK, 0, 1)
        for index in range(_CHUNK):
            self._batch.n_seq_id[index] = 1
            self._batch.seq_id[index][0] = 0

    def close(self) -> None:
        """Frees the model; it cannot be used afterwards."""
        self._free_context()
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_model_free(self._model)

    def encode_template(self, text: str) -> list[int]:
        """See `Tokenizer`."""
        return self._tokenize(text, special=True)

    def encode_text(self, text: str) -> list[int]:
        """See `Tokenizer`."""
        return self._tokenize(text, special=False)

    def logits(self, prompt: Sequence[int], response: Sequence[int]) -> NDArray[np.float32]:
        """Logits (R, V) before each of the response's R tokens."""
        ids = [*prompt, *response[:-1]]
        self._begin(len(ids))
        return self._evaluate(ids, 0, len(response))

    def greedy(
        self, prompt: Sequence[int], limit: int, stops: Sequence[int]
    ) -> tuple[list[int], float]:
        """The most likely token again and again, at most `limit`; one of `stops` ends it.

        Returns:
            the tokens, and the probability of the least likely of them.
        """
        self._begin(len(prompt) + limit)
        response: list[int] = []
        lowest = 1.0
        row = self._evaluate(list(prompt), 0, 1)
        while True:
            response.append(int(row[-1].argmax()))
            lowest = min(lowest, float(1 / np.exp(row[-1] - row[-1].max()).sum()))
            if len(response) == limit or response[-1] in stops:
                return response, lowest
            row = self._evaluate(response[-1:], len(prompt) + len(response) - 1, 1)

    def _begin(self, tokens: int) -> None:
        if tokens > self._room:
            self._free_context()
            options = llama_cpp.llama_context_default_params()
            options.n_ctx = -(-tokens // _CHUNK) * _CHUNK
            options.n_batch = options.n_ubatch = _CHUNK
            options.n_threads = options.n_threads_batch = self._threads
            options.no_perf = True
            if not llama_cpp.llama_supports_gpu_offload():
                # As the device does: slower on a processor.
                options.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
            with llama_error() as because:
                self._context = llama_cpp.llama_init_from_model(self._model, options)
                if not self._context:
                    raise ExportError(f"no memory for {tokens} tokens in llama.cpp{because()}")
            self._room = options.n_ctx
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), True)

    def _evaluate(self, ids: list[int], start: int, wanted: int) -> NDArray[np.float32]:
        """Appends `ids` at position `start`; logits after the last `wanted` of them."""
        first, rows = len(ids) - wanted, []
        for begin in range(0, len(ids), _CHUNK):
            chunk, batch = ids[begin : begin + _CHUNK], self._batch
            batch.n_tokens = len(chunk)
            for index, token in enumerate(chunk):
                batch.token[index], batch.pos[index] = token, start + begin + index
                batch.logits[index] = begin + index >= first
            with llama_error() as because:
                status = llama_cpp.llama_decode(self._context, batch)
                if status:
                    raise ExportError(f"llama.cpp cannot evaluate (status {status}){because()}")
            outputs = begin + len(chunk) - max(begin, first)
            if outputs > 0:
                pointer = llama_cpp.llama_get_logits(self._context)
                rows.append(np.ctypeslib.as_array(pointer, (outputs, self.size)).copy())
        return np.concatenate(rows)

    def _tokenize(self, text: str, *, special: bool) -> list[int]:
        data = text.encode("utf-8")
        size = len(data) + 8
        while True:
            buffer = (llama_cpp.llama_token * size)()
            count = llama_cpp.llama_tokenize(
                self._vocabulary, data, len(data), buffer, size, False, special
            )
            if count >= 0:
                return list(buffer[:count])
            size = -count

    def _free_context(self) -> None:
        if self._context:
            llama_cpp.llama_free(self._context)
        self._context, self._room = None, 0
