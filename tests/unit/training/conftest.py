"""A tiny random pair, made once."""

import pytest

from training.pair import load_pair
from training.prompting import PairPrompts
from training.tiny import make_tiny_pair


@pytest.fixture(scope="session")
def pair_file(tmp_path_factory):
    return make_tiny_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="session")
def prompts(pair_file):
    return PairPrompts(load_pair(pair_file))


@pytest.fixture(scope="session")
def text_prompts(tmp_path_factory):
    file = make_tiny_pair(tmp_path_factory.mktemp("unlike"), alike=False)
    return PairPrompts(load_pair(file))
