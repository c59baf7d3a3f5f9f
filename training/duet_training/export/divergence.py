"""How far two models' odds are apart, on the same tokens. Natural logarithms throughout."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duet_report.intervals import bootstrap_share, bounds

Array = NDArray[np.floating[Any]]

# The remainder of 1 is exact to about 1e-15: the logarithm of a smaller remainder is meaningless.
_LEAST = 1e-9


def log_softmax(logits: Array) -> NDArray[np.float64]:
    """Log-probs (T, V) of logits (T, V)."""
    values = logits.astype(np.float64)
    values -= values.max(axis=-1, keepdims=True)
    result: NDArray[np.float64] = values - np.log(np.exp(values).sum(axis=-1, keepdims=True))
    return result


def kl(reference: Array, other: Array) -> NDArray[np.float64]:
    """KL(reference || other) per token (T,) over the whole vocabulary, of log-probs (T, V)."""
    result: NDArray[np.float64] = (np.exp(reference) * (reference - other)).sum(axis=-1)
    return result


def kl_of_known(reference: Array, known: Mapping[int, float]) -> float:
    """KL of one token's odds where the other model's are only known for some tokens.

    All others count as one, so this is at most the KL over the whole vocabulary (data-processing
    inequality). `reference`: log-probs (V,); `known`: log-probs by token id.
    """
    ids = list(known)
    p, q = np.exp(reference[ids]), np.exp(np.array([known[i] for i in ids], dtype=np.float64))
    total = float((p * (reference[ids] - np.log(q))).sum())
    rest_p, rest_q = 1.0 - float(p.sum()), 1.0 - float(q.sum())
    if rest_p > _LEAST:
        total += rest_p * float(np.log(rest_p / max(rest_q, _LEAST)))
    return max(total, 0.0)


@dataclass
class Distance:
    """Collects what two models say of the same texts, text by text."""

    _kl: list[NDArray[np.float64]] = field(default_factory=list)
    """KL of each token in nats, text by text."""
    _same: list[NDArray[np.float64]] = field(default_factory=list)
    """1 for each token where both have the same most likely one, else 0, text by text."""
    _apart: list[NDArray[np.float64]] = field(default_factory=list)
    """Absolute difference of each token's log-probs in nats, text by text."""

    def add(self, reference: Array, other: Array, tokens: Sequence[int]) -> None:
        """Log-probs (T, V) of both before each of a text's T tokens."""
        rows = np.arange(len(tokens))
        self._kl.append(kl(reference, other))
        self._same.append((reference.argmax(-1) == other.argmax(-1)).astype(np.float64))
        self._apart.append(np.abs(reference[rows, tokens] - other[rows, tokens]))

    def add_known(
        self, reference: Array, other: Sequence[Mapping[int, float]], tokens: Sequence[int]
    ) -> None:
        """Add a position at which only some log-probs of the other model are known: those of the
        text's own token and of the most likely ones.
        """
        pairs = list(zip(reference, other, strict=True))
        same = [float(max(known, key=known.__getitem__) == row.argmax()) for row, known in pairs]
        apart = [
            abs(float(row[token]) - known[token])
            for (row, known), token in zip(pairs, tokens, strict=True)
        ]
        self._kl.append(np.array([kl_of_known(row, known) for row, known in pairs]))
        self._same.append(np.array(same))
        self._apart.append(np.array(apart))

    def summary(self) -> dict[str, Any]:
        """Means over tokens; intervals of 95% over texts."""
        kls, same, apart = (np.concatenate(rows) for rows in (self._kl, self._same, self._apart))
        return {
            "tokens": len(kls),
            "mean_kl": float(kls.mean()),
            "mean_kl_95": _interval(self._kl),
            "kl_99th_percentile": float(np.quantile(kls, 0.99)),
            "top1_agreement": float(same.mean()),
            "top1_agreement_95": _interval(self._same),
            "log_prob_difference": float(apart.mean()),
        }


def _interval(rows: Sequence[NDArray[np.float64]]) -> list[float]:
    # The sample is one of texts.
    totals = np.array([row.sum() for row in rows])
    counts = np.array([len(row) for row in rows], dtype=np.float64)
    return bounds(bootstrap_share(totals, counts))
