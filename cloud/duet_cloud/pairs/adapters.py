"""Merge low-rank adapters (LoRA, arXiv 2106.09685) into their model's weights at build time.

vLLM could serve an adapter next to its model; a merged one costs nothing per token.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from duet_cloud.errors import PairBuildError

# Of the two files that PEFT writes.
SETTINGS = "adapter_config.json"


def add(adapter: Path, model: Path) -> None:
    """Add an adapter's weights to those of the model in the directory `model`, in bfloat16.

    Raises:
        PairBuildError: it cannot be read, or is of another model.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    try:
        adapted = PeftModel.from_pretrained(base, adapter)
        merged = adapted.merge_and_unload(safe_merge=True)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise PairBuildError(f"the adapter in {adapter} cannot be added: {reason}") from error
    # Files may be hard links to those of another program, which must not change: each is replaced.
    for file in model.glob("*.safetensors*"):
        file.unlink()
    with TemporaryDirectory(dir=model.parent) as scratch:
        merged.save_pretrained(scratch)
        for file in Path(scratch).iterdir():
            file.replace(model / file.name)
