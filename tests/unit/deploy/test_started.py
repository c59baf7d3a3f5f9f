"""The service as each deployment starts it, with a PostgreSQL database; its engine is scripted."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from duet_cloud.errors import Exit
from duet_cloud.options import DATABASE_VARIABLE
from duet_contract.private_files import write_private
from tests.doubles import identities, loopback
from tests.doubles.helm import Helm
from tests.service import Service

DEPLOY = Path(__file__).parents[3] / "cloud" / "deploy"
PASSWORD = "geheim"  # pragma: allowlist secret


def _systemd(directory, pair):
    """The unit's command and its configuration file, without what vLLM reads."""
    config = yaml.safe_load((DEPLOY / "serve.yaml").read_text())
    del config["gpu-memory-utilization"]
    config |= {"pair": [pair], "host": "127.0.0.1"}
    text = yaml.safe_dump(config)
    text = text.replace("/var/lib/duet/authority", str(directory))
    text = text.replace("/run/credentials/duet-cloud.service", str(directory))
    (directory / "serve.yaml").write_text(text)
    unit = (DEPLOY / "systemd" / "duet-cloud.service").read_text()
    (command,) = re.findall(r"^ExecStart=/opt/duet/bin/duet-cloud (.*)$", unit, re.M)
    return shlex.split(command.replace("/etc/duet", str(directory)))


def _compose(directory, pair):
    services = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())["services"]
    paths = {
        "${DUET_PAIR:-qwen3-4b-0.6b}": pair,
        "/var/lib/duet/authority": str(directory),
        "/run/secrets/passphrase": str(directory / "passphrase"),
        "0.0.0.0": "127.0.0.1",
    }
    return [paths.get(each, each) for each in services["cloud"]["command"]]


def _chart(directory, pair):
    values = {
        "tls": {"secret": "duet-tls"},  # pragma: allowlist secret
        "database": {"secret": "duet-database"},  # pragma: allowlist secret
        "config": {"pair": [pair]},
        "access": '[roles]\n"spiffe://test/device/*" = ["inference"]\n',
    }
    with Helm() as helm:
        rendered = list(yaml.safe_load_all(helm.template(DEPLOY / "helm" / "duet-cloud", values)))
    (files,) = [each["data"] for each in rendered if each["kind"] == "ConfigMap"]
    text = files["serve.yaml"].replace("0.0.0.0", "127.0.0.1")
    for mounted in ("/etc/duet/tls", "/var/lib/duet/state"):
        text = text.replace(mounted, str(directory))
    for name, content in (("serve.yaml", text), ("access.toml", files["access.toml"])):
        (directory / name).write_text(content)
    # One file has the key and the certificate.
    for name in ("tls.crt", "tls.key"):
        write_private(directory / name, (directory / "server.pem").read_bytes())
    (directory / "ca.crt").write_bytes((directory / "authority.pem").read_bytes())
    (pod,) = [each["spec"]["template"]["spec"] for each in rendered if each["kind"] == "Deployment"]
    return [each.replace("/etc/duet", str(directory)) for each in pod["containers"][0]["args"]]


@pytest.fixture(params=[_systemd, _compose, _chart], ids=["systemd", "compose", "chart"])
def command(request, postgres, tmp_path, toy_pair, monkeypatch):
    url = postgres.database()
    directory = tmp_path / "authority"
    identities.make_authority(directory, url).registry.database.close()
    write_private(directory / "passphrase", identities.PASSPHRASE.encode())
    monkeypatch.setenv(DATABASE_VARIABLE, url.replace("duet@", f"duet:{PASSWORD}@"))
    monkeypatch.setenv("SCRIPT_TOKENS", "8")
    monkeypatch.setenv("SCRIPT_PAUSE_S", "0.01")
    arguments = request.param(directory, str(toy_pair))
    ours = ["--health-port", "0"]
    if "chart" not in request.node.name:
        ours += ["--enrollment-port", "0"]
    return [sys.executable, "-m", "tests.doubles.scripted_service", *arguments, *ours]


def _probe(service, path):
    port = service.wait_event("loading", 60)["health_port"]
    with loopback.client() as client:
        answer = client.get(f"http://127.0.0.1:{port}{path}")
    return answer.status_code, answer.text


def _becomes(service, code):
    until = time.monotonic() + 60
    while _probe(service, "/readyz")[0] != code:
        assert time.monotonic() < until
        time.sleep(0.2)


def test_it_is_ready_while_its_database_is_there(command, postgres, tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with Service.started(command, tmp_path / "log") as service:
            service.wait_ready(120)
            said = b""
            while b"READY=1" not in said:
                said = heard.recv(1000)
            assert _probe(service, "/readyz") == (200, "ok\n")
            assert service.metric("duet_database_up") == 1
            try:
                postgres.stop()
                _becomes(service, 503)
                assert "the database" in _probe(service, "/readyz")[1]
                assert _probe(service, "/livez") == (200, "ok\n")
                assert service.metric("duet_database_up") == 0
            finally:
                postgres.start()
            _becomes(service, 200)
            shown = Path(f"/proc/{service.process.pid}/cmdline").read_bytes()
            assert PASSWORD.encode() not in shown
            service.process.send_signal(signal.SIGTERM)
            assert service.process.wait(60) == 0
        assert PASSWORD not in service.log.read_text()


def test_without_its_database_it_ends_with_one_line(command, monkeypatch):
    monkeypatch.setitem(
        os.environ, DATABASE_VARIABLE, f"postgresql://duet:{PASSWORD}@127.0.0.1:1/duet"
    )
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == Exit.DATABASE
    (line,) = done.stderr.splitlines()
    assert line.startswith("duet-cloud: cannot use the database postgresql://duet:***@127.0.0.1:1")


def test_systemd_starts_it_again_after_what_may_pass():
    unit = (DEPLOY / "systemd" / "duet-cloud.service").read_text()
    (codes,) = re.findall(r"^RestartPreventExitStatus=(.*)$", unit, re.M)
    lasting = {Exit.USAGE, Exit.ADDRESS, Exit.CREDENTIALS}
    assert set(map(int, codes.split())) == lasting
    assert "StartLimitIntervalSec=0" in unit
