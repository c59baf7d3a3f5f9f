"""A tiny random pair, made once. Without VERL (another environment) nothing is collected."""

import os
from importlib.util import find_spec

import pytest

collect_ignore_glob = [] if find_spec("verl") else ["test_*.py"]
if find_spec("verl"):
    # Before anything imports torch: threads of models so small mostly wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def pair_file(tmp_path_factory):
    from duet_training.pair.tiny import make_tiny_pair

    return make_tiny_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="session")
def prompts(pair_file):
    from duet_training.pair.description import load_pair
    from duet_training.pair.prompting import PairPrompts

    return PairPrompts(load_pair(pair_file))


@pytest.fixture(scope="session")
def text_prompts(tmp_path_factory):
    from duet_training.pair.description import load_pair
    from duet_training.pair.prompting import PairPrompts
    from duet_training.pair.tiny import make_tiny_pair

    file = make_tiny_pair(tmp_path_factory.mktemp("unlike"), alike=False)
    return PairPrompts(load_pair(file))


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """A tiny model with ChatML's control tokens."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from duet_training.pair.description import load_pair
    from duet_training.sft.start import make_start

    directory = tmp_path_factory.mktemp("base")
    pair = load_pair(make_start(directory, "tiny", 0))
    model = AutoModelForCausalLM.from_pretrained(pair.reasoner.path)
    tokenizer = AutoTokenizer.from_pretrained(pair.reasoner.path)
    control = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": control})
    model.resize_token_embeddings(len(tokenizer))
    for part in (model, tokenizer):
        part.save_pretrained(directory / "base")
    return directory / "base"
