"""The small model in llama.cpp: loads a GGUF, evaluates tokens as they come, picks the next one.

Speaks llama.cpp's C interface through llama-cpp-python's bindings, since its high-level class asks
for the logits of every token and copies them. One sequence; its key-value cache is kept and can be
rolled back.
"""

import ctypes
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from duet_device.decoder.odds import Odds, odds_of
from duet_device.errors import ModelProblem

# A batch cannot be interrupted, so batches are small; larger ones are hardly faster on a CPU.
BATCH = 32
# Contexts grow in steps of this many tokens.
CONTEXT_STEP = 256
_SINGLE_SEQUENCE = 0
_ERROR_LEVEL = 3

_last_error = ""


# Kept alive by the module: llama.cpp calls it for as long as the process lives.
@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _log(level: int, text: bytes, _: ctypes.c_void_p) -> None:
    global _last_error
    if level == _ERROR_LEVEL:
        _last_error = text.decode("utf-8", "replace").strip()


llama_cpp.llama_log_set(_log, ctypes.c_void_p(0))


def model_params() -> Any:
    """Return llama.cpp's parameters for a model, without what ends the process on this processor.

    A build with AMX, such as a native one on a recent Xeon, may execute its tile instructions
    without a configuration of the tiles: SIGILL at the first token. GCC drops the stores of it
    (ggml-org/llama.cpp#26954). Only models whose weights are repacked when they are loaded use AMX.
    """
    params = llama_cpp.llama_model_default_params()
    if b"AMX_INT8 = 1" in llama_cpp.llama_print_system_info():
        params.use_extra_bufts = False
    return params


def _because() -> str:
    return f": {_last_error}" if _last_error else ""


class Decoder:
    """A loaded model with one sequence. Also the `duet_contract.vocabulary.Tokenizer` of its GGUF.

    Not for use from several threads at once.

    Args:
        path: the GGUF file, mapped into memory.
        threads: processors used for evaluation.

    Raises:
        ModelProblem: llama.cpp cannot load the file.
    """

    def __init__(self, path: Path, threads: int) -> None:
        global _last_error
        self.threads = threads
        self.ids: list[int] = []
        self._context: Any = None
        self._capacity = 0
        self._outputs = 0
        self._batch = llama_cpp.llama_batch_init(BATCH, 0, 1)
        for index in range(BATCH):
            self._batch.n_seq_id[index] = 1
            self._batch.seq_id[index][0] = _SINGLE_SEQUENCE
        self._piece = ctypes.create_string_buffer(256)
        self._view: NDArray[np.float32] | None = None
        self._view_key: tuple[int | None, int] = (None, 0)
        _last_error = ""
        llama_cpp.llama_backend_init()
        self._model = llama_cpp.llama_model_load_from_file(os.fsencode(path), model_params())
        if not self._model:
            raise ModelProblem(f"cannot load {path}{_because()}")
        self._vocabulary = llama_cpp.llama_model_get_vocab(self._model)
        self.vocabulary_size = int(llama_cpp.llama_vocab_n_tokens(self._vocabulary))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the model and its context. The decoder cannot be used afterwards."""
        self._free_context()
        if self._model:
            llama_cpp.llama_batch_free(self._batch)
            llama_cpp.llama_model_free(self._model)
            self._model = None

    # The tokenizer.

    def encode_template(self, text: str) -> list[int]:
        """See `Tokenizer`."""
        return self._tokenize(text, parse_special=True)

    def encode_text(self, text: str) -> list[int]:
        """See `Tokenizer`."""
        return self._tokenize(text, parse_special=False)

    def detokenize(self, token: int, *, special: bool = False) -> bytes:
        """Return a token's bytes, which may be part of a character; control tokens on request."""
        length = self._token_to_piece(token, special)
        if length < 0:
            self._piece = ctypes.create_string_buffer(-length)
            length = self._token_to_piece(token, special)
        return self._piece.raw[:length]

    def is_end(self, token: int) -> bool:
        """Return whether the model itself ends a text with `token`."""
        return bool(llama_cpp.llama_vocab_is_eog(self._vocabulary, token))

    # The sequence.

    @property
    def context(self) -> int:
        """Tokens that the sequence may have; 0 before `reserve`."""
        return self._capacity

    @property
    def rolls_back(self) -> bool:
        """Whether `keep` costs nothing; False for a recurrent state, which is evaluated again."""
        return not (
            llama_cpp.llama_model_is_recurrent(self._model)
            or llama_cpp.llama_model_is_hybrid(self._model)
        )

    def reserve(self, tokens: int) -> None:
        """Make room for a sequence of `tokens`; what was evaluated stays so.

        Raises:
            ModelProblem: there is not enough memory.
        """
        if tokens <= self._capacity:
            return
        evaluated, self.ids = self.ids, []
        self._free_context()
        self._capacity = -(-tokens // CONTEXT_STEP) * CONTEXT_STEP
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = self._capacity
        params.n_batch = params.n_ubatch = BATCH
        params.n_seq_max = 1
        params.n_threads = params.n_threads_batch = self.threads
        params.no_perf = True
        if not llama_cpp.llama_supports_gpu_offload():
            # llama.cpp's flash attention costs a processor twice the time of a batch.
            params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self._context = llama_cpp.llama_init_from_model(self._model, params)
        if not self._context:
            self._capacity = 0
            raise ModelProblem(f"no memory for a context of {tokens} tokens{_because()}")
        self._memory = llama_cpp.llama_get_memory(self._context)
        self.evaluate(evaluated)

    def use_threads(self, threads: int) -> None:
        """Evaluate with another number of threads from now on."""
        self.threads = threads
        if self._context:
            llama_cpp.llama_set_n_threads(self._context, threads, threads)

    def evaluate(
        self,
        ids: Sequence[int],
        *,
        want_next: bool = True,
        check: Callable[[], None] | None = None,
    ) -> None:
        """Append tokens to the sequence.

        Args:
            ids: the tokens.
            want_next: whether the next token will be requested; False saves computing its logits.
            check: called between batches; what it raises ends the evaluation there.

        Raises:
            ModelProblem: the sequence does not fit into the context, or llama.cpp fails.
        """
        for start in range(0, len(ids), BATCH):
            if check:
                check()
            batch = ids[start : start + BATCH]
            outputs = int(want_next and start + BATCH >= len(ids))
            self._decode(batch, outputs)

    def evaluate_all(self, ids: Sequence[int], outputs: int | None = None) -> list[int]:
        """Append at most `BATCH` tokens, in one batch.

        Args:
            ids: the tokens.
            outputs: how many of them, from the last one back, the next token is computed after;
                None for all.

        Returns:
            The most likely next token after each of those.
        """
        self._decode(ids, len(ids) if outputs is None else outputs)
        return [int(token) for token in self._logits().argmax(axis=1)]

    def become(self, ids: Sequence[int], check: Callable[[], None] | None = None) -> None:
        """Make `ids` the sequence, evaluating only what differs from the one before."""
        same = 0
        # The last token is always evaluated again, since its logits are needed.
        for mine, wanted in zip(self.ids, ids[:-1], strict=False):
            if mine != wanted:
                break
            same += 1
        self.keep(same)
        self.evaluate(ids[same:], check=check)

    def keep(self, count: int) -> None:
        """Roll the sequence back to its first `count` tokens."""
        kept = self.ids[:count]
        if len(kept) < len(self.ids):
            self._outputs = 0
        elif not self._context:
            return
        # Even with nothing to roll back: an interrupt may have left tokens that `ids` lacks.
        count = len(kept)
        if llama_cpp.llama_memory_seq_rm(self._memory, _SINGLE_SEQUENCE, count, -1):
            self.ids = kept
            return
        # A recurrent state cannot be rolled back in part.
        llama_cpp.llama_memory_clear(self._memory, True)
        self.ids = []
        self.evaluate(kept, want_next=False)

    def most_likely(self) -> int:
        """Return the most likely next token; the last evaluation must have requested it."""
        return int(self._logits()[-1].argmax())

    def odds(self, tokens: Sequence[int] | None = None) -> list[Odds]:
        """Return the odds of next tokens at the positions that the last evaluation requested.

        Args:
            tokens: one for each position; None for the most likely ones.
        """
        return odds_of(self._logits(), tokens)

    def state(self) -> NDArray[np.float32]:
        """Return the last hidden state after the sequence (a copy).

        Costs one decoding step, since the sequence's last token is evaluated again for it; its
        logits are the same as before.
        """
        *before, last = self.ids
        self.keep(len(before))
        llama_cpp.llama_set_embeddings(self._context, True)
        try:
            self._decode((last,), 1)
            pointer = llama_cpp.llama_get_embeddings_ith(self._context, -1)
            if not pointer:
                raise ModelProblem("llama.cpp gives no hidden state of this decoder")
            size = int(llama_cpp.llama_model_n_embd(self._model))
            return np.ctypeslib.as_array(pointer, (size,)).copy()
        finally:
            llama_cpp.llama_set_embeddings(self._context, False)

    def sample(self, sampler: Any) -> int:
        """Return the next token that a llama.cpp sampler picks."""
        return int(llama_cpp.llama_sampler_sample(sampler, self._context, -1))

    # Internal methods.

    def _decode(self, ids: Sequence[int], outputs: int) -> None:
        position = len(self.ids)
        count = len(ids)
        if position + count > self._capacity:
            raise ModelProblem(
                f"{position + count} tokens do not fit into a context of {self._capacity}"
            )
        batch = self._batch
        batch.n_tokens = count
        first_output = count - outputs
        for index, token in enumerate(ids):
            batch.token[index] = token
            batch.pos[index] = position + index
            batch.logits[index] = index >= first_output
        self._outputs = 0
        status = llama_cpp.llama_decode(self._context, batch)
        if status:
            raise ModelProblem(f"llama.cpp cannot evaluate (status {status}){_because()}")
        self._outputs = outputs
        self.ids.extend(ids)

    def _logits(self) -> NDArray[np.float32]:
        """llama.cpp's own memory, seen as (outputs, vocabulary); valid until the next batch."""
        if not self._outputs:
            raise ModelProblem("the last evaluation did not ask for the next token")
        pointer = llama_cpp.llama_get_logits(self._context)
        key = (ctypes.cast(pointer, ctypes.c_void_p).value, self._outputs)
        if self._view is None or key != self._view_key:
            self._view = np.ctypeslib.as_array(pointer, (self._outputs, self.vocabulary_size))
            self._view_key = key
        return self._view

    def _tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        data = text.encode("utf-8")
        size = len(data) + 8
        while True:
            buffer = (llama_cpp.llama_token * size)()
            count = llama_cpp.llama_tokenize(
                self._vocabulary, data, len(data), buffer, size, False, parse_special
            )
            if count >= 0:
                return list(buffer[:count])
            size = -count

    def _token_to_piece(self, token: int, special: bool) -> int:
        return int(
            llama_cpp.llama_token_to_piece(
                self._vocabulary, token, self._piece, len(self._piece), 0, special
            )
        )

    def _free_context(self) -> None:
        self._view = None
        if self._context:
            llama_cpp.llama_free(self._context)
            self._context = None


# Of <sys/mman.h> on Linux: the next access reads the page from the file again.
_MADV_DONTNEED = 4
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r--s [0-9a-f]+ \S+ (\d+) ")


def release(path: Path) -> None:
    """Drop the pages of a file that this process maps to read; pages in use come back when read.

    Does nothing on systems without /proc.

    Args:
        path: the file.
    """
    try:
        inode = path.stat().st_ino
        maps = Path("/proc/self/maps").read_text()
    except OSError:
        return
    advise = ctypes.CDLL(None).madvise
    for start, end, found in _MAPPING.findall(maps):
        if int(found) == inode:
            first = int(start, 16)
            advise(ctypes.c_void_p(first), ctypes.c_size_t(int(end, 16) - first), _MADV_DONTNEED)
