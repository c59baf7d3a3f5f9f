"""The Helm chart, rendered by Helm and checked against Kubernetes' own schemas."""

import json
import subprocess
from pathlib import Path

import click
import kubernetes_validate
import pytest
import yaml

from duet_cloud.commands.serve import serve
from duet_cloud.options import DATABASE_VARIABLE
from tests.doubles import promql
from tests.doubles.helm import Helm
from tests.doubles.options import parse_options

CHART = Path(__file__).parents[3] / "cloud" / "deploy" / "helm" / "duet-cloud"
LEAST = {"tls": {"secret": "duet-tls"}}  # pragma: allowlist secret
MOST = {
    **LEAST,
    "pairs": {"claim": "pairs"},
    "service": {"external": {"enabled": True, "annotations": {"a": "b"}}},
    "monitoring": {"enabled": True, "labels": {"release": "prometheus"}},
    "autoscaling": {"enabled": True},
    "inferencePool": {"enabled": True},
    "env": [{"name": "HF_HOME", "value": "/tmp"}],
    "database": {"secret": "duet-database", "ca": "ca.crt"},  # pragma: allowlist secret
    "podAnnotations": {"a": "b"},
    "nodeSelector": {"gpu": "h100"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "imagePullSecrets": [{"name": "registry"}],
    "config": {"pair": ["a", "b"], "grace-s": 90, "tensor-parallel-size": 2},
}
# Of other projects, whose schemas Kubernetes does not have.
CUSTOM = {"ServiceMonitor", "PrometheusRule", "ScaledObject", "InferencePool"}


@pytest.fixture(scope="module")
def helm():
    with Helm() as running:
        yield running


def _rendered(helm, values):
    text = helm.template(CHART, values)
    assert not text.startswith("Error"), text
    found = [each for each in yaml.safe_load_all(text) if each]
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def _pod(rendered):
    return rendered["Deployment", "duet"]["spec"]["template"]["spec"]


@pytest.mark.parametrize("values", [LEAST, MOST], ids=["least", "most"])
def test_it_is_kubernetes(helm, values):
    assert helm.lint(CHART, values)["passed"]
    rendered = _rendered(helm, values)
    for (kind, _), manifest in rendered.items():
        if kind not in CUSTOM:
            kubernetes_validate.validate(manifest, "1.33", strict=True)
    assert CUSTOM & {kind for kind, _ in rendered} == (CUSTOM if values is MOST else set())


@pytest.mark.parametrize("values", [LEAST, MOST], ids=["least", "most"])
def test_its_configuration_is_ours(helm, tmp_path, values):
    rendered = _rendered(helm, values)
    file = tmp_path / "serve.yaml"
    file.write_text(rendered["ConfigMap", "duet"]["data"]["serve.yaml"])
    options = parse_options(["--config", str(file)])
    (container,) = _pod(rendered)["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {
        "grpc": options.port,
        "metrics": options.metrics_port,
        "health": options.health_port,
    }
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert str(options.access.parent) in mounts
    assert str(options.tls_cert.parent) in mounts
    # As the image names them.
    assert {"/tmp", "/var/lib/duet/cache"} <= mounts
    assert ("/var/lib/duet/pairs" in mounts) == (values is MOST)
    # Killed only after the grace period of a drain that begins after the pause.
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert _pod(rendered)["terminationGracePeriodSeconds"] > options.grace_s + pause
    probes = {
        name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")
    }
    assert {probe["port"] for probe in probes.values()} == {"health"}
    # They speak TLS, whatever the gateway in front of them does.
    assert rendered["Service", "duet"]["spec"]["ports"][0]["appProtocol"] == "https"


def test_access_changes_under_a_running_pod(helm, tmp_path):
    rendered = _rendered(helm, LEAST)
    (first,), (container,) = (_pod(rendered)[kind] for kind in ("initContainers", "containers"))
    *command, source, link = first["command"]
    # A mount of one file never changes.
    mounts = {each["mountPath"]: each for each in container["volumeMounts"]}
    assert "subPath" not in mounts[str(Path(source).parent)]
    assert Path(source).name in rendered["ConfigMap", "duet"]["data"]
    assert f"access: {link}\n" in rendered["ConfigMap", "duet"]["data"]["serve.yaml"]
    made = tmp_path / "access.toml"
    subprocess.run([*command, source, made], check=True, timeout=60)
    assert made.readlink() == Path(source)
    other = _rendered(helm, {**LEAST, "access": "denied = []"})
    assert other["Deployment", "duet"] == rendered["Deployment", "duet"]
    assert other["ConfigMap", "duet"] != rendered["ConfigMap", "duet"]


def test_no_pause_is_no_hook(helm):
    """Kubernetes before 1.33 refuses a sleep of 0 s."""
    (container,) = _pod(_rendered(helm, {**LEAST, "preStopSeconds": 0}))["containers"]
    assert "lifecycle" not in container


def test_services_set_no_variable(helm):
    assert _pod(_rendered(helm, LEAST))["enableServiceLinks"] is False


def test_autoscaling_keeps_busy_pods(helm):
    spec = _rendered(helm, MOST)["ScaledObject", "duet"]["spec"]
    waiting, running = (each["metadata"]["query"] for each in spec["triggers"])
    pods = '{namespace="edge", service="duet"}'
    assert f"duet_requests_waiting{pods}" in waiting
    assert f"duet_requests_running{pods}" in running
    assert f"duet_slots{pods}" in running
    for query in (waiting, running):
        assert promql.metrics_of(query) <= promql.exported().keys()
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 900


def test_the_database_is_a_reference_to_a_secret(helm):
    (container,) = _pod(_rendered(helm, MOST))["containers"]
    found = {each["name"]: each for each in container["env"]}
    reference = {"name": "duet-database", "key": "url"}
    assert found[DATABASE_VARIABLE]["valueFrom"] == {"secretKeyRef": reference}
    assert "HF_HOME" in found
    assert _of_the_database(_pod(_rendered(helm, MOST))) == (["ca.crt"], ["/etc/duet/database"])
    (container,) = _pod(_rendered(helm, LEAST))["containers"]
    assert "env" not in container
    assert _of_the_database(_pod(_rendered(helm, LEAST))) == ([], [])


def _of_the_database(pod):
    """Keys of the Secret that are mounted, and where."""
    secrets = [each["secret"] for each in pod["volumes"] if each["name"] == "database"]
    mounts = [
        each["mountPath"]
        for each in pod["containers"][0]["volumeMounts"]
        if each["name"] == "database"
    ]
    return [item["key"] for each in secrets for item in each["items"]], mounts


def test_selectors_select_the_pods(helm):
    rendered = _rendered(helm, MOST)
    labels = rendered["Deployment", "duet"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        rendered["Deployment", "duet"]["spec"]["selector"]["matchLabels"],
        rendered["PodDisruptionBudget", "duet"]["spec"]["selector"]["matchLabels"],
        rendered["InferencePool", "duet"]["spec"]["selector"]["matchLabels"],
        rendered["Service", "duet"]["spec"]["selector"],
        rendered["Service", "duet-external"]["spec"]["selector"],
    ]
    for selector in selectors:
        assert selector.items() <= labels.items()
    service = rendered["Service", "duet"]["metadata"]["labels"]
    monitored = rendered["ServiceMonitor", "duet"]["spec"]["selector"]["matchLabels"]
    assert monitored.items() <= service.items()


def test_its_alerts_are_those_of_the_repository(helm):
    rules = _rendered(helm, MOST)["PrometheusRule", "duet"]["spec"]
    file = CHART.parents[1] / "monitoring" / "alerts.yaml"
    assert rules == yaml.safe_load(file.read_text())
    # Named in the expressions.
    labels = _rendered(helm, MOST)["Service", "duet"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] == "duet-cloud"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "tls.secret is required"),
        ({**LEAST, "replicas": -1}, "/replicas"),
        ({**LEAST, "replica": 1}, "'replica' not allowed"),
        ({**LEAST, "service": {"port": 70000}}, "/service/port"),
        ({**LEAST, "config": {"pair": ["x"], "port": 3}}, "'port'"),
        ({**LEAST, "config": {"pair": ["x"], "database": "postgresql://x"}}, "'database'"),
        ({**LEAST, "database": {"secret": 5}}, "/database/secret"),
        ({**LEAST, "startup": {"minutes": 0}}, "/startup/minutes"),
        ({**LEAST, "sharedMemory": "8"}, "/sharedMemory"),
        ({**LEAST, "preStopSeconds": 301}, "/preStopSeconds"),
        ({**LEAST, "autoscaling": {"waiting": 0}}, "/autoscaling/waiting"),
        ({**LEAST, "autoscaling": {"minReplicas": 0}}, "/autoscaling/minReplicas"),
        (
            {**LEAST, "autoscaling": {"enabled": True, "minReplicas": 3, "maxReplicas": 2}},
            "autoscaling.minReplicas is above autoscaling.maxReplicas",
        ),
        ({**LEAST, "service": {"port": 9090}}, "/service/port"),
        ({**LEAST, "config": {"pair": ["x"], "grace_s": 600}}, "grace_s"),
        ({**LEAST, "config": {"pair": ["x"], "grace-s": -1}}, "/config/grace-s"),
        ({**LEAST, "disruption": {"maxUnavailable": "one"}}, "/disruption/maxUnavailable"),
        ({**LEAST, "database": {"url": "postgresql://x"}}, "'url' not allowed"),
        ({**LEAST, "image": {"pullPolicy": "never"}}, "/image/pullPolicy"),
        ({**LEAST, "image": {"tag": "a b"}}, "/image/tag"),
        ({**LEAST, "config": {"pair": []}}, "/config/pair"),
        ({**LEAST, "config": {"pair": ["x"], "chunk-tokens": 0}}, "/config/chunk-tokens"),
        ({**LEAST, "config": {"pair": ["x"], "health-grpc-port": 9091}}, "/health-grpc-port"),
        ({**LEAST, "config": {"pair": ["x"], "replica": ["a:1"]}}, "'replica'"),
        ({**LEAST, "disruption": {"maxUnavailable": "101%"}}, "/disruption/maxUnavailable"),
        ({**LEAST, "sharedMemory": "0Gi"}, "/sharedMemory"),
        ({**LEAST, "startup": {"minutes": None}}, "'minutes'"),
        ({**LEAST, "disruption": None}, "'disruption'"),
        ({**LEAST, "access": ""}, "/access"),
        ({**LEAST, "pairs": {"claim": "No_Name"}}, "/pairs/claim"),
        ({"tls": {"secret": "No Name"}}, "/tls/secret"),  # pragma: allowlist secret
        ({**LEAST, "database": {"ca": "ca.crt"}}, "/database/secret"),
        ({**LEAST, "autoscaling": {"enabled": True, "prometheus": ""}}, "/autoscaling/prometheus"),
        ({**LEAST, "inferencePool": {"endpointPicker": ""}}, "/inferencePool/endpointPicker"),
        # Kubernetes would refuse them after it has taken the other objects.
        ({**LEAST, "podAnnotations": {"a": 5}}, "/podAnnotations/a"),
        ({**LEAST, "nodeSelector": {"gpu": True}}, "/nodeSelector/gpu"),
        ({**LEAST, "monitoring": {"labels": {"a": 5}}}, "/monitoring/labels/a"),
        ({**LEAST, "env": [{"name": "X", "value": 5}]}, "/env/0/value"),
        ({**LEAST, "imagePullSecrets": ["x"]}, "/imagePullSecrets/0"),
    ],
)
def test_values_out_of_range_are_refused(helm, values, told):
    text = helm.template(CHART, values)
    assert text.startswith("Error")
    assert told in text


def test_options_have_the_ranges_of_the_command_line():
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["config"]
    ours = set(schema["propertyNames"]["not"]["enum"])
    for option in serve.params:
        name = max(option.opts, key=len).lstrip("-")
        # A string in any case.
        if not isinstance(option, click.Option) or name in {"pair", "health-grpc-port"} | ours:
            continue
        if isinstance(option.type, click.Choice):
            expected = {"enum": list(option.type.choices)}
        elif option.is_flag:
            expected = {"type": "boolean"}
        else:
            kind = "integer" if isinstance(option.type, click.IntRange) else "number"
            expected = {"type": kind, "minimum": option.type.min, "maximum": option.type.max}
        assert schema["properties"][name] == expected, name
