"""Order of rows in which every rank of a worker group has about as much to compute.

VERL deals a batch out in contiguous parts, one to each rank, and every rank walks through its part
in mini-batches. In the order that `balanced_order` returns, mini-batch i is rows i * size to
(i + 1) * size of the original order for any number of ranks.
"""

from collections.abc import Sequence

import torch
from verl.utils.seqlen_balancing import calculate_workload, get_seqlen_balanced_partitions


def balanced_order(lengths: Sequence[int], mini_batch: int, ranks: int) -> list[int]:
    """Order rows so that the ranks' shares of each mini-batch take about equally long.

    Args:
        lengths: Tokens of each row.
        mini_batch: Rows of a mini-batch, a multiple of `ranks`; `lengths` holds whole mini-batches.
        ranks: Number of workers.

    Returns:
        Numbers of the rows, rank by rank. With one rank, the order as it is.

    Examples:
        >>> balanced_order([9, 1, 8, 2], mini_batch=4, ranks=2)
        [0, 1, 2, 3]
        >>> balanced_order([9, 8, 1, 2], mini_batch=4, ranks=2)
        [0, 2, 1, 3]
    """
    work = calculate_workload(torch.tensor(lengths, dtype=torch.int64)).tolist()
    of_rank: list[list[int]] = [[] for _ in range(ranks)]
    for first in range(0, len(work), mini_batch):
        shares = get_seqlen_balanced_partitions(
            work[first : first + mini_batch], k_partitions=ranks, equal_size=True
        )
        for rows, share in zip(of_rank, sorted(shares), strict=True):
            rows += [first + row for row in share]
    return [row for rows in of_rank for row in rows]
