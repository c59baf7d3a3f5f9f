"""Whether llama.cpp cuts text into the same tokens as the tokenizer that the models trained with.

A GGUF rebuilds the tokenizer from a vocabulary and the name of a way to cut; nothing else tells
that the two agree.
"""

from collections.abc import Iterable
from pathlib import Path

from duet_contract.errors import PromptError
from duet_contract.manifest import TemplatePart
from duet_contract.prompts import encode_text
from duet_contract.vocabulary import HubTokenizer, Tokenizer, vocabulary_of
from duet_training.errors import ExportError
from duet_training.export.llama import LlamaModel
from duet_training.pair.description import DecoderModel

# Where tokenizers are known to part ways: spaces, digits, contractions, scripts, emoji, code.
STRINGS = (
    " leading and trailing  ",
    "two  spaces\tand\ta tab\n\nand lines\r\n  indented\n",
    "12345 + 678.90 = 13,024.5 (1e-7), 3rd 4x",
    "I'll say it's WE'RE don't they'VE he'd",
    "Ünïcödé e\u0301 \ufb01 \u017f İ ß",
    "我想在 apple 工作1314151天~ ありがとう 안녕",
    "កាន់តែពិសេស नमस्ते שלום مرحبا",
    "🚀 (normal) 😶\u200d🌫️ 👩\u200d👩\u200d👧 ✅",
    "def f(x):\n    return x**2  # \\frac{a}{b} \\boxed{42} $x_1$",
    "``` \"quotes\" 'single' -- --- ==== !!!??? ...",
    "\u00a0\u2003\u3000\u200b wide and no spaces",
)


def check_tokenizers(file: Path, model: DecoderModel, texts: Iterable[str]) -> None:
    """Compare both tokenizers on known hard strings, on `texts`, and on the prompts' templates.

    Raises:
        ExportError: naming the first text that they cut differently.
    """
    hub, words = (
        HubTokenizer.from_directory(model.path),
        vocabulary_of(model.path / "tokenizer.json"),
    )
    llama = LlamaModel(file, 1, tokenizer_only=True)
    try:
        for text in (*STRINGS, *texts):
            try:
                _same(text, *(encode_text(each, words, text) for each in (hub, llama)))
            except PromptError:
                continue  # refused alike, wherever it is asked
        for part in (*model.prompt_with_signal, *model.prompt_alone):
            if isinstance(part, TemplatePart):
                _same(part.template, *(_template(each, part.template) for each in (hub, llama)))
    finally:
        llama.close()


def _template(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode_template(text)


def _same(text: str, hub: list[int], llama: list[int]) -> None:
    if hub != llama:
        raise ExportError(
            f"llama.cpp cuts {text[:40]!r} into other tokens than the model trained with "
            f"({llama[:8]} and {hub[:8]}): take the pre-tokenizer of GPT-2, SmolLM, Qwen2 or "
            "Llama 3"
        )
