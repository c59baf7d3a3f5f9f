"""Both models of a pair with random weights, their tokenizer, and the pair's file."""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from duet_training.data.story_problems.draw import SCOPES
from duet_training.errors import ConfigError
from duet_training.sft.tokenizer import (
    ASSISTANT,
    END,
    END_OF_THINKING,
    THINK,
    USER,
    tokenizer_of,
    train_tokenizer,
)

CONTEXT = 1024


@dataclass(frozen=True)
class Shape:
    """Shape of a model."""

    width: int
    """Width of the hidden state."""
    layers: int
    """Number of layers."""
    inner: int
    """Width of the feed-forward part."""
    head: int = 64
    """Width of an attention head."""


@dataclass(frozen=True)
class Size:
    """Both models, their shared vocabulary, and the word problems that they are trained on."""

    reasoner: Shape
    """Shape of the reasoner."""
    decoder: Shape
    """Shape of the decoder."""
    vocabulary: int
    """Number of tokens in the vocabulary."""
    scope: str
    """Scope of the stories."""
    stories: int = 8000
    """Number of stories that the vocabulary is made from."""


SIZES = {
    "tiny": Size(Shape(64, 2, 128, 32), Shape(32, 1, 64, 32), 1024, "easy", 1000),
    "small": Size(Shape(192, 4, 512), Shape(96, 3, 256, 32), 1024, "easy"),
    "released": Size(Shape(256, 6, 768), Shape(192, 4, 512), 2048, "wide"),
}


def make_start(out: Path, size_name: str, seed: int) -> Path:
    """Write `reasoner/`, `decoder/` and `pair.yaml` under `out`; return the latter's path.

    Raises:
        ConfigError: no such size.
    """
    if size_name not in SIZES:
        raise ConfigError(f"there is no size {size_name!r}; there are: {', '.join(SIZES)}")
    size = SIZES[size_name]
    tokenizer = train_tokenizer(SCOPES[size.scope], size.vocabulary, size.stories, seed)
    for name, shape in (("reasoner", size.reasoner), ("decoder", size.decoder)):
        make_model(out / name, shape, tokenizer, seed)
    file = out / "pair.yaml"
    file.write_text(yaml.safe_dump(_pair(), sort_keys=False), "utf-8")
    return file


def write_pair(
    out: Path,
    base: Path,
    texts: Iterable[str],
    reasoner_format: Callable[[str], dict[str, Any]],
    decoder: Shape,
    vocabulary: int,
    seed: int,
) -> Path:
    """Write `pair.yaml` of a pair with private quantities, the decoder with random weights, and the
    reasoner without its weights.

    Also `base.yaml`, which names the reasoner in `base`.
    """
    make_model(out / "decoder", decoder, tokenizer_of(texts, vocabulary), seed)
    weights = shutil.ignore_patterns("*.safetensors*")
    shutil.copytree(base, out / "reasoner", ignore=weights, dirs_exist_ok=True)
    for name, reasoner in (("base.yaml", str(base.resolve())), ("pair.yaml", "reasoner")):
        content = {
            "quantities": "private",
            "answers": "computed",
            "reasoner": reasoner_format(reasoner),
            "decoder": decoder_format(),
        }
        (out / name).write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    return out / "pair.yaml"


def make_model(out: Path, shape: Shape, tokenizer: PreTrainedTokenizerFast, seed: int) -> None:
    """Write a model with random weights, and its tokenizer, into `out`."""
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(_config(shape, tokenizer))
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def _config(shape: Shape, tokenizer: PreTrainedTokenizerFast) -> Qwen3Config:
    heads = shape.width // shape.head
    return Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=shape.head,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.convert_tokens_to_ids(END),
        bos_token_id=None,
    )


def _pair() -> dict[str, Any]:
    reasoner = {
        "path": "reasoner",
        "prompt": [*_asked(), {"template": f"{END}{ASSISTANT}{THINK}"}],
        "end_of_reasoning": END_OF_THINKING,
        "end_of_text": [END],
    }
    return {"reasoner": reasoner, "decoder": decoder_format()}


def decoder_format() -> dict[str, Any]:
    """The decoder's part of a pair's file: its directory and its prompts."""
    return {
        "path": "decoder",
        "prompt_with_signal": [
            *_asked(),
            {"template": f"{END}{ASSISTANT}{THINK}"},
            {"slot": "signal"},
            {"template": END_OF_THINKING},
        ],
        "prompt_alone": [*_asked(), {"template": f"{END}{ASSISTANT}"}],
        "end_of_answer": [END],
    }


def _asked() -> list[dict[str, str]]:
    return [{"template": USER}, {"slot": "question"}]
