"""The pair with an adapter: built from its recipe, it answers questions in plain words."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from duet_cloud.pairs.build import build_pair
from duet_cloud.pairs.recipe import load_recipe
from duet_cloud.reasoner import PairReasoner
from duet_contract.encodings import encode_signal_text
from duet_contract.prompts import encode_text, prompt_ids
from duet_device.decoder.llama import Decoder

ASKED = {
    "Sam has 12 apples. He gives 5 apples to his sister. How many apples does Sam have left?": "7",
    "A box holds 6 pens. How many pens are there in 4 boxes?": "24",
    "There were 35 people on a bus. At the next stop 8 more got on. How many are on it now?": "43",
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("pairs") / "word-problems-135m"
    build_pair(load_recipe("word-problems-135m"), target, report=lambda _: None)
    return target


def _signal(reasoner: PairReasoner, model: Any, question: str) -> str:
    """Greedily, up to the end of reasoning."""
    prompt = reasoner.prompt(reasoner.encode_question(question))
    written = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones((1, len(prompt)), dtype=torch.long),
        max_new_tokens=64,
        do_sample=False,
        eos_token_id=reasoner.stop_id,
        pad_token_id=reasoner.stop_id,
    )[0, len(prompt) :].tolist()
    assert written[-1] == reasoner.stop_id
    words = Tokenizer.from_file(str(reasoner.directory / "tokenizer.json"))
    return words.decode(written[:-1], skip_special_tokens=False)


def _answer(pair: Path, reasoner: PairReasoner, question: str, signal: str) -> str:
    described = reasoner.manifest.decoder
    with Decoder(pair / described.path, 1) as decoder:
        decoder.reserve(512)
        slots = {
            "question": encode_text(decoder, described.vocabulary, question),
            "signal": encode_signal_text(decoder, described.vocabulary, signal),
        }
        decoder.evaluate(prompt_ids(decoder, described.prompt_with_signal, **slots))
        written = b""
        for _ in range(reasoner.manifest.limits.answer):
            token = decoder.most_likely()
            if decoder.is_end(token):
                break
            written += decoder.detokenize(token)
            decoder.evaluate([token])
        return written.decode()


def test_questions_in_plain_words_are_answered(pair: Path) -> None:
    reasoner = PairReasoner.load(pair)
    model = AutoModelForCausalLM.from_pretrained(reasoner.directory, dtype=torch.bfloat16)
    for question, wanted in ASKED.items():
        signal = _signal(reasoner, model, question)
        assert signal.endswith(f"={wanted}."), (question, signal)
        assert _answer(pair, reasoner, question, signal) == f"\\boxed{{{wanted}}}"
