"""Low-rank adapters (LoRA, arXiv 2106.09685) at build time: added to the weights that they are of.

vLLM could serve one beside its model; added once, it costs nothing a token.
"""

from pathlib import Path

from duet_cloud.errors import PairBuildError

# Of the two files that PEFT writes.
SETTINGS = "adapter_config.json"


def add(adapter: Path, model: Path) -> None:
    """Adds an adapter's weights to those of the model in the directory `model`, in bfloat16.

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
    # The weights may be hard links to somebody else's files, which are not to be written to.
    for file in model.glob("*.safetensors*"):
        file.unlink()
    merged.save_pretrained(model)
