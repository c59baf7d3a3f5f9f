"""`duet-cloud admin`."""

import datetime
import errno
import json
import os
import re
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from duet_cloud.errors import Exit
from duet_cloud.identity import authority as authorities
from duet_cloud.identity import authority_directory, certificates
from duet_cloud.identity.counts import counts_beside, open_counts
from duet_contract.console import OutputClosed, OutputLost
from duet_contract.enrollment_codes import EnrollmentCode
from tests.doubles import identities
from tests.doubles.commands import cloud_admin as main

UNTIL = r"until       (\d{4}-\d\d-\d\d \d\d:\d\d) UTC"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DUET_AUTHORITY", str(tmp_path / "made"))

    def command(*arguments):
        code = main(arguments)
        output = capsys.readouterr()
        return code, output.out, output.err

    return command


@pytest.fixture
def made(run, tmp_path):
    assert run("init", "--host", "gpu.example.org")[0] == Exit.OK
    return tmp_path / "made"


def test_from_init_to_revoke(run, made):
    code, out, _ = run("invite", "laptop", "--role", "inference,control")
    assert code == Exit.OK
    secret = EnrollmentCode.parse(out).secret
    assert run("devices")[1].splitlines()[1].split()[:3] == [
        "laptop",
        "control,inference",
        "invited",
    ]
    authority = authorities.unlock(made, identities.PASSPHRASE)
    assert authority.enroll(secret, identities.signing_request())
    entry = json.loads(run("devices", "--json")[1])
    assert entry["state"] == "enrolled"
    assert entry["until"] == pytest.approx(time.time() + 14 * 86400, abs=60)
    assert run("invite", "laptop")[0] == Exit.USAGE
    assert run("invite", "laptop", "--again")[0] == Exit.OK
    assert run("revoke", "laptop")[1] == "laptop: 2 certificates and codes revoked\n"
    assert json.loads(run("devices", "--json")[1])["state"] == "revoked"


def test_rotate(run, made):
    before = (made / "server.pem").read_bytes()
    assert run("rotate", "--host", "other.example.org")[0] == Exit.OK
    after = (made / "server.pem").read_bytes()
    assert after != before
    assert b"PRIVATE KEY" in after
    assert "server is   other.example.org\n" in run("show")[1]
    # The names of a server's own certificate, not of the one whose command ran last.
    assert run("rotate")[0] == Exit.OK
    assert "server is   other.example.org\n" in run("show")[1]


AZURE = "duet-gpu-server-01.0qztx5mjkyau1d3nrvgotsiake.bx.internal.cloudapp.net"


def test_a_machine_with_a_long_name_and_one_without_a_usable_one(run, monkeypatch, tmp_path):
    monkeypatch.setattr("socket.getfqdn", lambda: AZURE)
    monkeypatch.setattr("socket.gethostname", lambda: "b\u00fcro:1")
    assert len(AZURE) > 64
    code, out, err = run("init", "--host", f"gpu.{AZURE}", "--host", "FD00::7")
    assert code == Exit.OK
    assert err.startswith("next: duet-cloud admin invite --dir ")
    assert out.splitlines()[-1] == (
        f"server is   localhost, 127.0.0.1, ::1, {AZURE}, gpu.{AZURE}, fd00::7"
    )
    assert f"gpu.{AZURE}, 127.0.0.1, ::1, fd00::7" in run("show")[1]


@pytest.mark.parametrize(
    "host",
    [
        "gpu.example.org:50151",
        "[::1]",
        "b\u00fcro.example.org",
        "a,b",
        "gpu.example.org.",
        ".".join(["x" * 49] * 6),
        "gpu\n",
        "",
    ],
)
def test_what_is_no_host_is_refused_and_changes_nothing(run, made, tmp_path, host):
    before = (made / "server.pem").read_bytes()
    for command in (["rotate"], ["init", "--dir", str(tmp_path / "other")]):
        code, _, err = run(*command, "--host", "fine.example.org", "--host", host)
        assert code == Exit.USAGE
        assert f"{host!r} is not a host" in err
    assert not (tmp_path / "other").exists()
    assert (made / "server.pem").read_bytes() == before


def test_a_server_without_a_certificate_gets_one_by_its_names(run, made):
    (made / "server.pem").unlink()
    code, _, err = run("rotate")
    assert code == Exit.CREDENTIALS
    assert "duet-cloud admin rotate --host" in err
    assert err.count("\n") == 1
    assert run("rotate", "--host", "gpu.example.org")[0] == Exit.OK


def _life(monkeypatch, **life):
    monkeypatch.setattr(certificates, "_AUTHORITY_LIFE", datetime.timedelta(**life))


def test_show(run, made):
    code, out, err = run("show")
    assert (code, err) == (Exit.OK, "")
    ends = [datetime.datetime.fromisoformat(f"{day}Z") for day in re.findall(UNTIL, out)]
    now = datetime.datetime.now(datetime.UTC)
    assert [round((end - now) / datetime.timedelta(days=1)) for end in ends] == [3650, 30]
    assert "gpu.example.org" in out
    assert EnrollmentCode.parse(run("invite", "x")[1]).fingerprint.hex() in out


def test_an_authority_near_its_end_says_so(run, tmp_path, monkeypatch):
    _life(monkeypatch, days=100)
    assert run("init")[0] == Exit.OK
    ends = authority_directory.load_certificate(tmp_path / "made").not_valid_after_utc
    for command in (["show"], ["invite", "x"], ["rotate"]):
        code, _, err = run(*command)
        assert code == Exit.OK
        assert f"the authority's certificate ends on {ends:%Y-%m-%d}" in err.splitlines()[-1]


def test_an_authority_past_its_end_signs_nothing(run, monkeypatch):
    _life(monkeypatch, seconds=-1)
    assert run("init")[0] == Exit.OK
    for command in (["invite", "x"], ["rotate"]):
        code, out, err = run(*command)
        assert (code, out) == (Exit.CREDENTIALS, "")
        assert "let every device enroll with it" in err
        assert err.count("\n") == 1
    code, out, _ = run("show")
    assert code == Exit.OK
    assert len(re.findall(UNTIL, out)) == 2


def test_devices_near_and_past_the_authoritys_end(run, tmp_path, monkeypatch):
    """No certificate outlasts the authority's, and the list says so; none is enrolled after it."""
    _life(monkeypatch, days=3)
    assert run("init")[0] == Exit.OK
    authority = authorities.unlock(tmp_path / "made", identities.PASSPHRASE)
    ends = int(authority.certificate.not_valid_after_utc.timestamp())
    secret = EnrollmentCode.parse(run("invite", "laptop")[1]).secret
    authority.enroll(secret, identities.signing_request())
    run("invite", "phone", "--hours", "1")
    for now, states in (
        (ends - 1, {"laptop": "enrolled", "phone": "invitation over"}),
        (ends, {"laptop": "ended", "phone": "invitation over"}),
    ):
        monkeypatch.setattr("duet_cloud.admin.devices._now", lambda now=now: now)
        code, out, err = run("devices", "--json")
        assert (code, err) == (Exit.OK, "")
        entries = {entry["name"]: entry for entry in map(json.loads, out.splitlines())}
        assert {name: entry["state"] for name, entry in entries.items()} == states
        assert entries["laptop"]["until"] == ends
        row = run("devices")[1].splitlines()[1]
        assert row.split()[:3] == ["laptop", "inference", states["laptop"]]
        assert f"{authority.certificate.not_valid_after_utc:%Y-%m-%d %H:%M}" in row
    assert run("revoke", "laptop")[1] == "laptop: 0 certificates and codes revoked\n"


def test_publishers(run, made, tmp_path):
    key = Ed25519PrivateKey.generate().public_key()
    file = tmp_path / "us.pem"
    file.write_bytes(
        key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    assert run("publisher", "add", str(file))[0] == Exit.OK
    assert authority_directory.open_registry(made).publishers() == {"us": key.public_bytes_raw()}
    assert run("publisher", "add", str(file), "--name", "twice")[0] == Exit.CREDENTIALS
    assert run("publisher", "list")[1].startswith("us ")
    assert run("publisher", "remove", "us")[0] == Exit.OK
    assert run("publisher", "remove", "us")[0] == Exit.CREDENTIALS
    assert run("publisher", "list")[1] == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["invite", "a/b"], Exit.USAGE),
        (["invite", "x", "--role", "root"], Exit.USAGE),
        (["invite", "x", "--hours", "nan"], Exit.USAGE),
        (["revoke", "nobody"], Exit.CREDENTIALS),
        (["publisher", "add", "/nowhere"], Exit.USAGE),
        (["init"], Exit.USAGE),
        (["rotate", "--host", "a b"], Exit.USAGE),
    ],
)
def test_refused(run, made, arguments, code):
    ended, _, error = run(*arguments)
    assert ended == code
    assert "Traceback" not in error


@pytest.mark.parametrize(
    "command", [["invite", "x"], ["devices"], ["revoke", "x"], ["usage"], ["rotate"], ["show"]]
)
def test_without_an_authority(run, command):
    code, _, error = run(*command)
    assert code == Exit.CREDENTIALS
    assert "make it with: duet-cloud admin init --host HOST --dir /" in error
    assert error.count("\n") == 1


def test_init_where_nothing_can_be_written(run, tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(authorities, "write_private", full)
    code, _, error = run("init", "--dir", str(tmp_path / "full"))
    assert code == Exit.CREDENTIALS
    assert "No space left" in error
    assert not (tmp_path / "full").exists()


def test_a_short_passphrase(run, monkeypatch, tmp_path):
    monkeypatch.setenv("DUET_AUTHORITY_PASSPHRASE", "short")
    assert run("init")[0] == Exit.USAGE
    assert not (tmp_path / "made").exists()


def test_a_passphrase_file(run, tmp_path, monkeypatch):
    monkeypatch.delenv("DUET_AUTHORITY_PASSPHRASE")
    file = tmp_path / "passphrase"
    file.write_text("another good passphrase\n")
    file.chmod(0o644)
    assert run("init", "--passphrase-file", str(file))[0] == Exit.CREDENTIALS
    assert not (tmp_path / "made").exists()
    file.chmod(0o600)
    assert run("init", "--passphrase-file", str(file))[0] == Exit.OK
    authorities.unlock(tmp_path / "made", "another good passphrase")


def _spend(path, name, tokens):
    counts = open_counts(path, None)
    counts.add(name, counts.day(), tokens)
    counts.close()


def test_what_was_spent(run, made):
    code, out, _ = run("usage")
    assert (code, len(out.splitlines())) == (Exit.OK, 1)
    (made / "access.toml").write_text(
        "[limits.default]\ntokens = 1000\n[limits.laptop]\ntokens = 4000\n"
    )
    # Next to a service that has the counts open.
    beside = open_counts(made / "counts.db", None)
    beside.begin()
    for name, tokens in (("desk", 250), ("laptop", 3000)):
        _spend(made / "counts.db", name, tokens)
    rows = [line.split() for line in run("usage")[1].splitlines()[1:]]
    assert [row[1:] for row in rows] == [
        ["3,000", "4,000", "25%", "laptop"],
        ["250", "1,000", "75%", "desk"],
    ]
    (made / "access.toml").unlink()
    entry = json.loads(run("usage", "--json", "--days", "7")[1].splitlines()[0])
    assert (entry["name"], entry["tokens"], entry["limit"]) == ("laptop", 3000, None)
    # An open connection of this process would still read what it was.
    beside.close()
    (made / "counts.db").write_bytes(b"no database" * 100)
    for name in ("counts.db-wal", "counts.db-shm"):
        (made / name).unlink(missing_ok=True)
    code, _, error = run("usage")
    assert (code, error.count("\n")) == (Exit.CREDENTIALS, 1)


def test_what_was_spent_with_ones_own_pki(run, tmp_path):
    access = tmp_path / "who.toml"
    access.write_text("[limits.default]\ntokens = 10\n")
    _spend(counts_beside(access), "spiffe://example.org/laptop/7", 10)
    out = run("usage", "--access", str(access))[1]
    assert out.splitlines()[1].split()[1:] == ["10", "10", "0%", "spiffe://example.org/laptop/7"]


def test_a_code_that_could_not_be_printed_is_not_registered(run, made, monkeypatch):
    assert run("invite", "laptop")[0] == Exit.OK

    def full(*_, **__):
        raise OutputLost("cannot write to stdout: No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("click.echo", full)
        assert run("invite", "laptop", "--role", "control")[0] == 1
        assert run("invite", "phone")[0] == 1
    (line,) = run("devices", "--json")[1].splitlines()
    assert json.loads(line)["roles"] == ["inference"]


def test_an_authority_whose_fingerprint_could_not_be_printed_is_not_there(run, monkeypatch):
    def gone(*_, **__):
        raise OutputClosed("the reader of stdout has gone")

    with monkeypatch.context() as broken:
        broken.setattr("click.echo", gone)
        assert run("init")[0] == 141
    assert run("init")[0] == Exit.OK
