"""Enrollment codes: good once, for a while, and not to be guessed."""

import asyncio
import datetime
import time
from unittest.mock import Mock

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from duet_cloud.identity import authority as authority_module
from duet_cloud.identity.authority import Authority, invite
from duet_cloud.identity.callers import peer_network
from duet_cloud.identity.certificates import der
from duet_cloud.identity.database import DatabaseError
from duet_cloud.identity.enrollment import (
    MOST_IN_ALL,
    MOST_PER_ADDRESS,
    MOST_RENEWALS,
    WINDOW_S,
    CodeRateLimiter,
)
from duet_contract.channels import Pem, open_aio_channel, tls_credentials
from duet_contract.enrollment_codes import EnrollmentCode
from duet_contract.errors import EnrollmentCodeError
from duet_contract.v1.enrollment_pb2 import EnrollRequest, GetAuthorityRequest, RenewRequest
from tests.doubles import identities

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED


@pytest.fixture
def code(authority):
    return invite(authority.certificate, authority.registry, "laptop", ["inference"], 1.0)


def request_of(code, signing_request=None):
    return EnrollRequest(
        secret=code.secret, signing_request=signing_request or identities.signing_request()
    )


async def test_a_code_gives_a_certificate(secure, code):
    answer = await secure.enrollment.GetAuthority(GetAuthorityRequest())
    assert answer.authority == der(secure.authority.certificate)
    response = await secure.enrollment.Enroll(request_of(code))
    assert (response.name, response.service_port) == ("laptop", secure.port)
    certificate = x509.load_der_x509_certificate(response.certificate)
    certificate.verify_directly_issued_by(secure.authority.certificate)
    assert len(response.certificate) < 400


async def test_a_code_is_kept_as_a_hash_alone(secure, code):
    content = b"".join(
        path.read_bytes() for path in secure.authority.directory.glob("registry.db*")
    )
    assert b"laptop" in content
    assert code.secret not in content
    assert str(code).encode() not in content


async def test_the_same_key_is_answered_again(secure, code, refused):
    """However often: an answer may be lost on its way. Another key is refused."""
    request = request_of(code)
    first = await secure.enrollment.Enroll(request)
    for _ in range(2 * MOST_PER_ADDRESS):
        assert await secure.enrollment.Enroll(request) == first
    for _ in range(MOST_PER_ADDRESS):
        assert (await refused(secure.enrollment.Enroll(request_of(code)))).code() == UNAUTHENTICATED
    error = await refused(secure.enrollment.Enroll(request_of(code)))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await secure.enrollment.Enroll(request) == first


async def test_not_after_an_hour_nor_once_revoked(secure, code, refused, monkeypatch):
    request = request_of(code)
    await secure.enrollment.Enroll(request)
    with monkeypatch.context() as later:
        later.setattr(authority_module, "ANSWER_AGAIN", datetime.timedelta(seconds=-2))
        assert (await refused(secure.enrollment.Enroll(request))).code() == UNAUTHENTICATED
    await secure.enrollment.Enroll(request)
    secure.authority.registry.revoke("laptop", int(time.time()))
    assert (await refused(secure.enrollment.Enroll(request))).code() == UNAUTHENTICATED


async def test_refused_codes_do_not_fill_the_log(secure, code, refused, capfd):
    for _ in range(40):
        await refused(secure.enrollment.Enroll(EnrollRequest(secret=b"x" * 16)))
    lines = [line for line in capfd.readouterr().err.splitlines() if "enrollment refused" in line]
    assert len(lines) == 2  # one a reason: wrong, too many
    value = secure.server.metrics.registry.get_sample_value
    told = ("enrollment_code", "resource_exhausted")
    assert sum(value("duet_refused_total", {"reason": reason}) for reason in told) == 40


async def test_of_many_at_the_same_time_one_is_served(secure, code):
    calls = [secure.enrollment.Enroll(request_of(code)) for _ in range(4)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(not isinstance(result, Exception) for result in results) == 1


async def test_a_code_past_its_time(secure, refused):
    authority = secure.authority
    code = invite(authority.certificate, authority.registry, "laptop", ["inference"], 0.0)
    assert (await refused(secure.enrollment.Enroll(request_of(code)))).code() == UNAUTHENTICATED


async def test_a_revoked_invitation(secure, code, refused):
    secure.authority.registry.revoke("laptop", int(time.time()))
    assert (await refused(secure.enrollment.Enroll(request_of(code)))).code() == UNAUTHENTICATED


async def test_an_earlier_code_of_the_same_name(secure, code, refused):
    authority = secure.authority
    invite(authority.certificate, authority.registry, "laptop", ["inference"], 1.0)
    assert (await refused(secure.enrollment.Enroll(request_of(code)))).code() == UNAUTHENTICATED


async def test_wrong_codes_are_rate_limited(secure, code, refused):
    """After five wrong ones even the right one has to wait."""
    wrong = EnrollmentCode(code.fingerprint, bytes(16))
    for _ in range(MOST_PER_ADDRESS):
        error = await refused(secure.enrollment.Enroll(request_of(wrong)))
        assert error.code() == UNAUTHENTICATED
    error = await refused(secure.enrollment.Enroll(request_of(code)))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "wait" in error.details()


@pytest.mark.parametrize("secret", [b"", b"short", bytes(17), bytes(1000)])
async def test_a_secret_of_another_length(secure, refused, secret):
    request = EnrollRequest(secret=secret, signing_request=identities.signing_request())
    assert (await refused(secure.enrollment.Enroll(request))).code() == UNAUTHENTICATED


def _of_another_curve():
    key = ec.generate_private_key(ec.SECP384R1())
    return _request(key)


def _of_rsa():
    return _request(rsa.generate_private_key(65537, 2048))


def _altered():
    data = bytearray(identities.signing_request())
    data[-1] ^= 1
    return bytes(data)


def _request(key):
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(
    "make", [_of_another_curve, _of_rsa, _altered, lambda: b"x", lambda: bytes(5000)]
)
async def test_a_request_that_cannot_be_signed_does_not_cost_the_code(secure, code, refused, make):
    error = await refused(secure.enrollment.Enroll(request_of(code, make())))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    await secure.enrollment.Enroll(request_of(code))


async def test_a_large_request_is_not_read(secure, code, refused):
    error = await refused(secure.enrollment.Enroll(request_of(code, bytes(1 << 20))))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_renewal_is_for_the_caller_and_no_stranger(secure, refused):
    request = RenewRequest(signing_request=identities.signing_request())
    client = secure.connect(identities.device(secure.authority))
    renewed = x509.load_der_x509_certificate((await client.identity.Renew(request)).certificate)
    names = renewed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    assert uris == ["spiffe://test/device/laptop"]
    error = await refused(secure.connect(None).identity.Renew(request))
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    secure.authority.registry.revoke("laptop", int(time.time()))
    assert (await refused(client.identity.Renew(request))).code() == UNAUTHENTICATED


async def test_nothing_but_enrollment_on_its_port(secure, refused):
    async with open_aio_channel(
        f"localhost:{secure.enrollment_port}", tls_credentials(Pem(secure.roots, "the authority"))
    ) as channel:
        call = channel.unary_stream("/duet.v1.InferenceService/Reason")(b"")
        error = await refused(call.read())
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED


def test_wrong_codes_from_many_addresses_are_bounded_in_all():
    now = [1000.0]
    counted = CodeRateLimiter(lambda: now[0])
    for index in range(MOST_IN_ALL):
        assert not counted.wait_s(f"ipv4:10.0.{index}.1:5")
        counted.count_wrong(f"ipv4:10.0.{index}.1:5")
    assert counted.wait_s("ipv4:192.0.2.1:5") == pytest.approx(WINDOW_S)
    now[0] += WINDOW_S
    assert not counted.wait_s("ipv4:192.0.2.1:5")


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        ("ipv4:10.1.2.3:55", "10.1.2.3"),
        ("ipv6:%5B2001:db8::1:2%5D:55", "2001:db8::/64"),
        ("ipv6:[2001:db8::ffff]:1", "2001:db8::/64"),
        ("unix:/some/socket", "unix:/some/socket"),
    ],
)
def test_networks(peer, network):
    assert peer_network(peer) == network


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=16, max_size=16))
def test_codes_read_as_they_were_written(fingerprint, secret):
    code = EnrollmentCode(fingerprint, secret)
    assert EnrollmentCode.parse(f" {code}\n") == code
    assert secret.hex() not in repr(code)


@given(st.integers(5, 72), st.characters(codec="ascii", exclude_characters="-_+/"))
def test_a_mistyped_code_is_told(position, character):
    text = str(EnrollmentCode(bytes(range(32)), bytes(range(16))))
    typed = text[:position] + character + text[position + 1 :]
    if typed != text:
        with pytest.raises(EnrollmentCodeError):
            EnrollmentCode.parse(typed)


@pytest.mark.parametrize("text", ["", "duet-", "duet-AAAA", "hello", "duet-é", "duet-" + "A" * 68])
def test_what_is_no_code(text):
    with pytest.raises(EnrollmentCodeError):
        EnrollmentCode.parse(text)


async def test_renewals_of_a_device_are_bounded(secure, refused):
    client = secure.connect(identities.device(secure.authority))
    request = RenewRequest(signing_request=identities.signing_request())
    for _ in range(MOST_RENEWALS):
        await client.identity.Renew(request)
    error = await refused(client.identity.Renew(request))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "10 renewals an hour" in error.details()
    other = secure.connect(identities.device(secure.authority, "other"))
    await other.identity.Renew(request)


async def test_renewals_without_a_database_count_for_nothing(secure, refused, monkeypatch):
    client = secure.connect(identities.device(secure.authority))
    request = RenewRequest(signing_request=identities.signing_request())
    with monkeypatch.context() as away:
        away.setattr(Authority, "renew", Mock(side_effect=DatabaseError("locked")))
        for _ in range(MOST_RENEWALS + 1):
            error = await refused(client.identity.Renew(request))
            assert error.code() == grpc.StatusCode.UNAVAILABLE
    await client.identity.Renew(request)
