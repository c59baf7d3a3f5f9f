"""Addresses: what is one, what it is normalized to, and what is on this machine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_contract.addresses import Address
from duet_contract.errors import AddressError

labels = st.from_regex(r"[a-z_]([a-z0-9_-]{0,10}[a-z0-9_])?", fullmatch=True)
names = st.lists(labels, min_size=1, max_size=4).map(".".join)
hosts = names | st.ip_addresses().map(str)
ports = st.integers(1, 65535)


@given(host=hosts, port=ports)
@pytest.mark.slow
def test_parsing_and_printing_are_inverse(host: str, port: int) -> None:
    address = Address(host, port)
    assert Address.parse(str(address)) == address


@given(text=st.text(max_size=20) | st.text(alphabet="a1.:[]-/@ %", max_size=20))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = Address.parse(text)
    except AddressError as error:
        refusal = str(error)
    else:
        assert Address.parse(str(address)) == address
        return
    assert "HOST:PORT" in refusal
    assert "\n" not in refusal


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (" 127.0.0.1:50151 ", "127.0.0.1:50151"),
        ("LOCALHOST:50151", "localhost:50151"),
        ("Cloud.Example.org.:050151", "cloud.example.org:50151"),
        ("[0:0::1]:50151", "[::1]:50151"),
        ("[fe80::1%eth0]:5", "[fe80::1%eth0]:5"),
        ("duet_cloud:1", "duet_cloud:1"),
        ("unix:5", "unix:5"),
    ],
)
def test_what_is_unambiguous_is_normalised(text: str, address: str) -> None:
    assert str(Address.parse(text)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host:",
        ":1",
        "host:0",
        "host:65536",
        "host:١",
        "host:1_0",
        "::1:50151",
        "[::1:50151",
        "[127.0.0.1]:50151",
        "http://127.0.0.1:50151",
        "unix:/run/duet.sock:1",
        "user@host:1",
        "a..b:5",
        f"{'a' * 70}:5",
        f"{'a.' * 130}a:5",
        "bücher.example:5",
        "127.1:5",
        "a\n:5",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(AddressError, match="is not HOST:PORT .*; write for example") as caught:
        Address.parse(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_a_free_port_only_where_it_is_allowed() -> None:
    assert Address.parse("127.0.0.1:0", free_port=True).port == 0


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("localhost:1", True),
        ("127.9.9.9:1", True),
        ("[::1]:1", True),
        ("[::ffff:127.0.0.1]:1", True),
        ("localhost.example.org:1", False),
        ("10.0.0.1:1", False),
        ("0.0.0.0:1", False),
        ("[::ffff:10.0.0.1]:1", False),
    ],
)
def test_what_is_on_this_machine(text: str, loopback: bool) -> None:
    assert Address.parse(text).is_loopback is loopback
