import json

import pytest

from duet_cloud.errors import UsageError
from duet_cloud.request_limits import RequestLimits
from duet_contract.manifest import parse_manifest
from tests.doubles.manifests import manifest_data


@pytest.fixture
def manifest():
    return parse_manifest(json.dumps(manifest_data()))


def test_the_pairs_limits_where_the_context_holds_them(manifest):
    limits = RequestLimits.of(manifest, prompt_overhead=10, max_context=70)
    assert (limits.question_tokens, limits.budget, limits.default_budget) == (20, 40, 10)


def test_a_small_context_lowers_them(manifest):
    limits = RequestLimits.of(manifest, prompt_overhead=10, max_context=26)
    assert (limits.question_tokens, limits.budget, limits.default_budget) == (8, 8, 8)
    assert 10 + limits.question_tokens + limits.budget <= 26


@pytest.mark.parametrize("context", [5, 10, 11])
def test_no_room_at_all(manifest, context):
    with pytest.raises(UsageError, match="max-model-len"):
        RequestLimits.of(manifest, prompt_overhead=10, max_context=context)
