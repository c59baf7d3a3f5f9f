"""The access file: what it says of whom, and what is not understood in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_cloud.errors import CredentialsError
from duet_cloud.identity.access import Access, load_access
from duet_cloud.identity.roles import Role


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[limits.default]\nrate = -1", r"limits\.default\.rate"),
        ("[limits.default]\nrates = 1", r"limits\.default\.rates is unknown; did you mean rate\?"),
        ("limit = 1", r"limit is unknown; did you mean limits\?"),
        ("[limits.default]\nx = 1", r"x is unknown; did you mean rate, concurrency, tokens\?"),
        ('[limits.default]\nrate = "1"', r"limits\.default\.rate"),
        ("[limits]\ndefault = 3", r"limits\.default"),
        ("[role]\n", "role"),
        ('[roles]\n"laptop" = ["inference"]', "is not a URI"),
        ('[roles]\n"spiffe://a/*/b" = ["inference"]', "is not a URI"),
        ('[roles]\n"spiffe://a/b" = ["root"]', "roles"),
        ("[limits", "cannot read"),
    ],
)
def test_access_files_that_are_not_understood(tmp_path, text, why):
    path = tmp_path / "access.toml"
    path.write_text(text)
    with pytest.raises(CredentialsError, match=why):
        load_access(path)


def test_own_limits_stand_before_the_defaults():
    access = Access.model_validate(
        {"limits": {"default": {"rate": 1, "tokens": 5}, "laptop": {"rate": 9}}}
    )
    assert access.limits_of("laptop").model_dump() == {"rate": 9, "concurrency": None, "tokens": 5}
    assert access.limits_of("phone").rate == 1


@given(st.text(alphabet="ab/", max_size=8))
def test_patterns_cover_what_is_below_them_alone(path):
    access = Access.model_validate({"roles": {"spiffe://a/b/*": ["inference"]}})
    covered = bool(access.roles_of(f"spiffe://a/{path}"))
    assert covered == path.startswith("b/")


@given(
    names=st.sets(st.text(alphabet="ab/", max_size=5).map("spiffe://{}/*".format), max_size=6),
    own=st.booleans(),
    path=st.text(alphabet="ab/", max_size=8),
)
def test_the_longest_pattern_counts_and_an_own_entry_before_all(names, own, path):
    uri = f"spiffe://{path}"
    order = sorted(names, key=len)
    kinds = [["inference"], ["control"]]
    roles = {name: kinds[index % 2] for index, name in enumerate(order)}
    access = Access.model_validate({"roles": roles | ({uri: []} if own else {})})
    covering = [name for name in order if uri.startswith(name[:-1])]
    expected = [] if own or not covering else roles[covering[-1]]
    assert access.roles_of(uri) == frozenset(map(Role, expected))


def test_a_byte_order_mark_is_no_part_of_it(tmp_path):
    path = tmp_path / "access.toml"
    path.write_text("[limits.default]\nrate = 1", "utf-8-sig")
    assert load_access(path).limits_of("laptop").rate == 1


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("[limits]".encode("utf-16"), "not UTF-8"),
        (b"#" * (2 << 20), "larger than 1,048,576 bytes"),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_access_files_of_other_kinds(tmp_path, content, why):
    path = tmp_path / "access.toml"
    path.write_bytes(content)
    with pytest.raises(CredentialsError, match=why):
        load_access(path)
