"""A tiny random pair, made once. Without VERL (another environment) nothing is collected."""

from importlib.util import find_spec

import pytest

collect_ignore_glob = [] if find_spec("verl") else ["test_*.py"]


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
