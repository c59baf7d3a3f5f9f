"""The files of cloud/deploy, each read by the tool that it is for."""

import json
import re
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from duet_cloud.cli import main
from duet_cloud.identity.database import Database
from duet_cloud.options import ServeOptions
from duet_contract.pairs import PAIRS_VARIABLE
from tests.doubles import promql
from tests.doubles.options import parse_options

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "cloud" / "deploy"
UNIT = DEPLOY / "systemd" / "duet-cloud.service"
ALERTS = DEPLOY / "monitoring" / "alerts.yaml"
ALERT_TESTS = Path(__file__).with_name("alerts_test.yaml")
COMPOSE = DEPLOY / "compose" / "compose.yaml"
# Of Prometheus itself, and of vLLM, which exports them where a model is loaded.
OTHERS = {"up": {"job"}, "vllm:kv_cache_usage_perc": {"model_name"}}
EXPORTED = promql.exported() | OTHERS


def _alerts():
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    return group["rules"]


def _panels():
    return json.loads((DEPLOY / "monitoring" / "dashboard.json").read_text())["panels"]


# Each with the text that shows its labels.
QUERIES = [
    *(
        pytest.param(rule["expr"], rule["annotations"]["summary"], id=rule["alert"])
        for rule in _alerts()
    ),
    *(
        pytest.param(
            target["expr"].replace("$__rate_interval", "5m"),
            target["legendFormat"],
            id=panel["title"],
        )
        for panel in _panels()
        for target in panel["targets"]
    ),
]


@pytest.mark.parametrize(("query", "shown"), QUERIES)
def test_queries_select_what_the_service_exports(query, shown):
    names = promql.metrics_of(query)
    assert names
    assert names <= EXPORTED.keys()
    # Prometheus adds `instance`.
    known = {"instance"}.union(*(EXPORTED[name] for name in names))
    assert promql.labels_of(query) <= known
    named = set(re.findall(r"\{\{ ?(?:\$labels\.)?(\w+) ?\}\}", shown))
    grouped = promql.labels_of(query) if " by " in query else known
    assert named <= grouped


def test_an_alert_has_its_section_in_the_runbook():
    titles = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert {rule["alert"] for rule in _alerts()} <= set(titles)
    for rule in _alerts():
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"


def test_every_metric_is_documented():
    page = (ROOT / "docs" / "serving.md").read_text()
    rows = re.findall(r"^\| `(duet_\w+)` \|([^|]*)\|", page, re.MULTILINE)
    listed = {name: set(filter(None, labels.strip().split(", "))) for name, labels in rows}
    assert listed == {
        name.removesuffix("_bucket"): labels - {"le"}
        for name, labels in promql.exported().items()
        if not name.endswith(("_sum", "_count"))
    }


def test_the_example_configuration_is_ours():
    options = parse_options(["--config", str(DEPLOY / "serve.yaml")])
    assert options.engine == {"gpu_memory_utilization": 0.9}
    assert (options.metrics_port, options.health_port) == (9090, 9091)


def test_the_unit_starts_our_commands():
    text = UNIT.read_text()
    assert "Type=notify" in text
    (command,) = re.findall(r"^Exec\w+=/opt/duet/bin/duet-cloud (.*)$", text, re.M)
    first, *rest = command.replace("/etc/duet/serve.yaml", str(DEPLOY / "serve.yaml")).split()
    assert first == "serve"
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


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_the_unit_exposes_little():
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=25", UNIT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Prometheus is not installed")
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", str(DEPLOY / "monitoring" / "prometheus.yaml")),
        ("check", "rules", str(ALERTS)),
        ("test", "rules", str(ALERT_TESTS)),
    ],
    ids=["config", "rules", "alerts"],
)
def test_prometheus_takes_its_files(arguments):
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_a_case_in_which_it_fires():
    *_, wrong, _ = yaml.safe_load(ALERT_TESTS.read_text())["tests"]
    fired = wrong["promql_expr_test"][0]["exp_samples"]
    named = {re.search(r'"(\w+)"', each["labels"])[1] for each in fired}
    assert named == {rule["alert"] for rule in _alerts()}


def test_prometheus_scrapes_the_service_by_the_name_that_alerts_have():
    scrape = yaml.safe_load((DEPLOY / "monitoring" / "prometheus.yaml").read_text())
    compose = yaml.safe_load(COMPOSE.read_text())["services"]
    (job,) = scrape["scrape_configs"]
    ((target,),) = [each["targets"] for each in job["static_configs"]]
    name, port = target.split(":")
    assert f'up{{job="{job["job_name"]}"}}' in ALERTS.read_text()
    options = parse_options([*compose[name]["command"][1:]])
    assert options.metrics_port == int(port)
    (file,) = scrape["rule_files"]
    assert f":/etc/prometheus/{file}:ro" in " ".join(compose["prometheus"]["volumes"])


def test_grafana_reads_the_dashboard_from_prometheus():
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    (source,) = yaml.safe_load((DEPLOY / "monitoring" / "grafana-sources.yaml").read_text())[
        "datasources"
    ]
    host, port = source["url"].removeprefix("http://").split(":")
    # Prometheus' own port inside the network.
    assert (host in services, port, source["type"]) == (True, "9090", "prometheus")
    (provider,) = yaml.safe_load((DEPLOY / "monitoring" / "grafana-dashboards.yaml").read_text())[
        "providers"
    ]
    mounted = [each.split(":") for each in services["grafana"]["volumes"]]
    places = {Path(place).parent for name, place, _ in mounted if name.endswith("dashboard.json")}
    assert places == {Path(provider["options"]["path"])}
    dashboard = json.loads((DEPLOY / "monitoring" / "dashboard.json").read_text())
    (variable,) = dashboard["templating"]["list"]
    assert (variable["type"], variable["query"]) == ("datasource", source["type"])
    used = {panel["datasource"]["uid"] for panel in _panels()}
    assert used == {f"${{{variable['name']}}}"}
    assert len({panel["id"] for panel in _panels()}) == len(_panels())


def test_every_file_is_listed_with_the_tests_that_read_it():
    rows = re.findall(
        r"^\| `([^`]+)` \| [^|]+ \| ([^|]+) \|$", (DEPLOY / "README.md").read_text(), re.M
    )
    assert rows
    files = {str(each.relative_to(DEPLOY)) for each in DEPLOY.rglob("*") if each.is_file()}
    missing = {
        file for file in files if not any(Path(file).match(listed) for listed, _ in rows)
    } - {"README.md"}
    assert not missing
    tests = "".join(each.read_text() for each in Path(__file__).parent.glob("test_*.py"))
    for listed, named in rows:
        assert list(DEPLOY.glob(listed)), listed
        for test in re.findall(r"`(test_\w+)`", named):
            assert f"def {test}(" in tests, test
        assert "`test_" in named


class _Merged(yaml.SafeLoader):
    """Reads compose's tag for what a file takes out of the one before it."""


_Merged.add_constructor("!reset", lambda *_: None)


def test_compose_takes_its_files(tmp_path):
    override = yaml.load(COMPOSE.with_name("cpu.yaml").read_text(), _Merged)
    own = override["services"]["cloud"]
    # Taken out: it needs a GPU.
    assert own.pop("deploy", "none") is None
    assert "nvidia" not in str(own)
    (tmp_path / "cpu.yaml").write_text(yaml.safe_dump(override))
    checker = Path(sys.executable).with_name("check-jsonschema")
    command = [checker, "--builtin-schema", "vendor.compose-spec", COMPOSE, tmp_path / "cpu.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    build = own["build"]["args"]
    assert all(f"ARG {name}" in (DEPLOY / "Dockerfile").read_text() for name in build)


def test_compose_bounds_its_logs():
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    # Of 100 MB by default, whereas Docker's own default has no end.
    assert {each["logging"]["driver"] for each in services.values()} == {"local"}


def test_compose_starts_the_database_before_the_service_and_passes_no_secret_on():
    compose = yaml.safe_load(COMPOSE.read_text())
    cloud, postgres = compose["services"]["cloud"], compose["services"]["postgres"]
    assert cloud["depends_on"] == {"postgres": {"condition": "service_healthy", "required": False}}
    assert postgres["healthcheck"]["test"][1] == "pg_isready"
    for service in compose["services"].values():
        assert set(service.get("secrets", ())) <= set(compose["secrets"])
        # A file that holds it, or a variable without its value.
        assert not re.search(
            r"(?i)pass(word|phrase)?=(?!/run)", " ".join(map(str, service.get("environment", ())))
        )
    # As its comment says.
    url = re.search(r"DUET_DATABASE=(\S+)", COMPOSE.read_text())[1]
    with closing(Database.postgresql(url)) as database:
        assert database.name == "postgresql://duet@postgres/duet"
    assert "passfile=/run/secrets/pgpass" in url


def test_the_container_file():
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "")
    text = (DEPLOY / "Dockerfile").read_text()
    sent = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    for source in re.findall(r"^COPY (?!--from)(\S+) ", text, re.M):
        assert (ROOT / source).exists()
        assert f"!{source}" in sent
    (command,) = re.findall(r"^CMD (\[.*\])$", text, re.M)
    first, *rest = json.loads(command)
    rest[rest.index("/etc/duet/serve.yaml")] = str(DEPLOY / "serve.yaml")
    assert first == "serve"
    parse_options(rest)


def _image_directories():
    """Directories of variables of the image: pairs', and those that are written to."""
    lines = (DEPLOY / "Dockerfile").read_text().partition("USER ")[0].rpartition("ENV ")[2]
    variables = dict(re.findall(r"^\s*(\w+)=(/\S+)", lines.replace(" \\", ""), re.M))
    del variables["PATH"]
    pairs = variables.pop(PAIRS_VARIABLE)
    assert {"HOME", "XDG_CACHE_HOME"} <= variables.keys()
    return pairs, {"/tmp", *variables.values()}


def test_a_read_only_container_has_what_the_image_names():
    pairs, written = _image_directories()
    cloud = yaml.safe_load(COMPOSE.read_text())["services"]["cloud"]
    assert cloud["read_only"]
    tmpfs = dict(each.split(":") for each in cloud["tmpfs"])
    assert written == tmpfs.keys()
    # Docker mounts them noexec, and for root alone where the image has no such directory.
    assert all({"exec"} <= set(given.split(",")) for given in tmpfs.values())
    assert f":{pairs}:ro" in " ".join(cloud["volumes"])
    assert f"{PAIRS_VARIABLE}={pairs}" in UNIT.read_text()


def test_a_drain_ends_before_it_is_killed():
    grace_s = int(parse_options(["--config", str(DEPLOY / "serve.yaml")]).grace_s)
    assert f"TimeoutStopSec={grace_s + 15}" in UNIT.read_text()
    cloud = yaml.safe_load(COMPOSE.read_text())["services"]["cloud"]
    assert cloud["stop_grace_period"] == f"{int(ServeOptions.grace_s) + 15}s"


def test_compose_starts_our_command_and_mounts_what_is_there():
    file = COMPOSE
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
