"""Examples in the docstrings of training."""

import pytest

from tests.doubles.doctests import check_examples, modules_with_examples


@pytest.mark.parametrize("module", modules_with_examples("training"))
def test_examples_hold(module: str) -> None:
    check_examples(module)
