"""The start of a signal that the device already holds: checked, and turned into token ids.

The signal continues after it, as if this request had generated it. So a device can continue after a
cut, here or on another replica, and nothing of an earlier request is stored.
"""

from duet_cloud.reasoner import PairReasoner
from duet_cloud.status import invalid
from duet_contract.errors import PromptError
from duet_contract.prompts import MOST_BYTES_PER_TOKEN, encode_text
from duet_contract.v1.inference_pb2 import (
    SIGNAL_ENCODING_TOKEN_IDS,
    SignalChunk,
    SignalEncoding,
)

_FIELD = "signal_prefix"


def prefix_ids(
    pair: PairReasoner, prefix: SignalChunk, encoding: SignalEncoding.ValueType, budget: int
) -> list[int]:
    """Return the token ids of a signal's start; none if it is absent.

    Args:
        pair: whose reasoner continues the signal.
        prefix: `ReasonRequest.signal_prefix`.
        encoding: the negotiated one, which the prefix must have.
        budget: of the whole signal.

    Raises:
        Refusal: INVALID_ARGUMENT for another encoding, ids that are not text of the vocabulary,
            more of them than the budget, or far more text.
    """
    content = prefix.WhichOneof("content")
    if content is None:
        return []
    if (content == "tokens") != (encoding == SIGNAL_ENCODING_TOKEN_IDS):
        sent = "token ids" if content == "tokens" else "text"
        raise invalid(_FIELD, f"{sent}, which is not the encoding of the signal that follows")
    if content == "tokens":
        if (count := len(prefix.tokens.ids)) > budget:
            raise invalid(_FIELD, f"{count} tokens, the budget is {budget}")
        ids = list(prefix.tokens.ids)
        _check_ids(ids, pair)
        return ids
    size, most = len(prefix.text.encode("utf-8")), budget * MOST_BYTES_PER_TOKEN
    if size > most:
        raise invalid(_FIELD, f"{size} bytes, the limit for a budget of {budget} tokens is {most}")
    try:
        ids = encode_text(pair.tokenizer, pair.manifest.reasoner.vocabulary, prefix.text)
    except PromptError as error:
        raise invalid(_FIELD, str(error)) from error
    # A reasoner may spell a text in fewer tokens than its tokenizer does: such a signal is whole.
    return ids[:budget]


def _check_ids(ids: list[int], pair: PairReasoner) -> None:
    size = pair.manifest.reasoner.vocabulary.size
    for token in ids:
        if token >= size:
            raise invalid(_FIELD, f"token id {token}, the vocabulary ends at {size - 1}")
        if token in pair.control_ids:
            raise invalid(_FIELD, f"token id {token} is a control token")
