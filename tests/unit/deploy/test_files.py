"""The files of cloud/deploy, each read by the tool that it is for."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import promql_parser
import pytest
import yaml

from duet_cloud.cli import main
from duet_cloud.metrics import Metrics
from duet_cloud.options import ServeOptions
from tests.doubles.options import parse_options

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "cloud" / "deploy"
UNIT = DEPLOY / "systemd" / "duet-cloud.service"
ALERTS = DEPLOY / "monitoring" / "alerts.yaml"
# Of Prometheus itself, and of vLLM, which exports them where a model is loaded.
OTHERS = {"up", "vllm:kv_cache_usage_perc"}


def _alerts():
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    return group["rules"]


def _panels():
    return json.loads((DEPLOY / "monitoring" / "dashboard.json").read_text())["panels"]


def _exported():
    """Names as queries have them."""
    metrics = Metrics()
    metrics.watch_database(lambda: True)
    # Histograms have samples once they have labels.
    kinds = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",)}
    return {
        metric.name + suffix
        for metric in metrics.registry.collect()
        for suffix in kinds.get(metric.type, ("",))
    }


def _names(query):
    """Metrics that a query selects."""
    return set(re.findall(r"(?:duet_|vllm:)\w+|\bup\b", promql_parser.parse(query).prettify()))


QUERIES = [
    *(pytest.param(rule["expr"], id=rule["alert"]) for rule in _alerts()),
    *(
        pytest.param(target["expr"].replace("$__rate_interval", "5m"), id=panel["title"])
        for panel in _panels()
        for target in panel["targets"]
    ),
]


@pytest.mark.parametrize("query", QUERIES)
def test_queries_select_what_the_service_exports(query):
    names = _names(query)
    assert names
    assert names <= _exported() | OTHERS


def test_an_alert_has_its_section_in_the_runbook():
    titles = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert {rule["alert"] for rule in _alerts()} <= set(titles)
    for rule in _alerts():
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"


def test_every_metric_is_documented():
    page = (ROOT / "docs" / "serving.md").read_text()
    listed = set(re.findall(r"^\| `(duet_\w+)` \|", page, re.MULTILINE))
    counted = {name for name in _exported() if not name.endswith(("_bucket", "_sum", "_count"))}
    histograms = {name.removesuffix("_bucket") for name in _exported() if name.endswith("_bucket")}
    assert listed == {name for name in counted | histograms if name.startswith("duet_")}


def test_the_example_configuration_is_ours():
    options = parse_options(["--config", str(DEPLOY / "serve.yaml")])
    assert options.engine == {"gpu_memory_utilization": 0.9}
    assert (options.metrics_port, options.health_port) == (9090, 9091)


def test_the_unit_starts_our_commands():
    text = UNIT.read_text()
    assert "Type=notify" in text
    for kind, command in re.findall(
        r"^(ExecStart(?:Pre)?)=/opt/duet/bin/duet-cloud (.*)$", text, re.M
    ):
        first, *rest = command.replace("/etc/duet/serve.yaml", str(DEPLOY / "serve.yaml")).split()
        assert first == {"ExecStart": "serve", "ExecStartPre": "check-config"}[kind]
        if first == "serve":
            parse_options(rest)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_unit(tmp_path):
    unit = tmp_path / UNIT.name
    # The program is not installed here.
    unit.write_text(UNIT.read_text().replace("/opt/duet/bin/duet-cloud", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_container_file():
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "")
    text = (DEPLOY / "Dockerfile").read_text()
    for source in re.findall(r"^COPY (?!--from)(\S+) ", text, re.M):
        assert (ROOT / source).exists()
    (command,) = re.findall(r"^CMD (\[.*\])$", text, re.M)
    first, *rest = json.loads(command)
    rest[rest.index("/etc/duet/serve.yaml")] = str(DEPLOY / "serve.yaml")
    assert first == "serve"
    parse_options(rest)


def test_compose_starts_our_command_and_mounts_what_is_there():
    file = DEPLOY / "compose" / "compose.yaml"
    services = yaml.safe_load(file.read_text())["services"]
    first, *rest = services["cloud"]["command"]
    assert first == "serve"
    options = parse_options([each.replace("${DUET_PAIR:-qwen3-4b-0.6b}", "x") for each in rest])
    assert options.pairs == ("x",)
    ports = {int(each.split(":")[-1]) for each in services["cloud"]["ports"]}
    assert ports == {ServeOptions.port, options.enrollment_port}
    for service in services.values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (file.parent / source).is_file()
    build = services["cloud"]["build"]
    assert (file.parent / build["context"] / build["dockerfile"]).is_file()


def test_serve_without_its_passphrase_says_which(capsys, tmp_path):
    # The example names files of a host: nothing here has them.
    code = main(["check-config", str(DEPLOY / "serve.yaml")])
    assert code in (4, 6)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("duet-cloud: ")
