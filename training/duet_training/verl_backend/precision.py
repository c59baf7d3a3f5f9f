"""What a processor computes in."""

import torch


def has_fast_bfloat16() -> bool:
    """Whether this processor multiplies matrices in bfloat16 by itself; others emulate it."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
