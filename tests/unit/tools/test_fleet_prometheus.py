"""`duet-bench capacity --prometheus`: the metrics of a running fleet as input."""

import json
import re
import shutil
import subprocess
from contextlib import ExitStack
from functools import partial
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

import promql_parser
import pytest

from duet_tools.errors import BenchError, UsageProblem
from duet_tools.fleet import prometheus
from duet_tools.fleet.prometheus import read_fleet
from tests.doubles.commands import bench_capacity as main
from tests.doubles.http_server import LoopbackServer


class _Prometheus(BaseHTTPRequestHandler):
    def __init__(self, values, *arguments):
        self.values = values
        super().__init__(*arguments)

    def do_GET(self):
        query = parse_qs(urlsplit(self.path).query)["query"][0]
        promql_parser.parse(query)
        found = [value for pattern, value in self.values.items() if re.search(pattern, query)]
        result = [{"metric": {}, "value": [0, str(value)]} for value in found[:1]]
        body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


FLEET = {
    "duet_requests_total": 2.0,
    "^count": 3,
    r"^max\(": 8,
    "0.95, .*signal_tokens": 90.0,
    "signal_tokens": 40.0,
    "first_chunk": 0.4,
}


@pytest.fixture
def served():
    with ExitStack() as stack:

        def serve(values):
            server = stack.enter_context(LoopbackServer(partial(_Prometheus, values)))
            return f"http://{server.address}"

        yield serve


def test_a_fleet_is_read(served):
    fleet = read_fleet(served(FLEET), "30m")
    assert (fleet.questions_per_s, fleet.replicas, fleet.slots) == (2.0, 3, 8)
    assert fleet.signal_tokens == (*[40.0] * 9, 90.0)
    assert fleet.first_chunk_p95_s == 0.4


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Prometheus is not installed")
def test_what_no_replica_would_answer_is_no_load(tmp_path):
    series = [("ok", ""), ("cancelled", ""), ("resource_exhausted", "queue")]
    series += [("unavailable", "draining"), ("resource_exhausted", "tokens")]
    series += [(name, name) for name in ("failed_precondition", "invalid_argument", "unknown")]
    case = {
        "interval": "1m",
        "input_series": [
            {
                "series": f'duet_requests_total{{outcome="{one}", reason="{why}"}}',
                "values": "0+60x9",
            }
            for one, why in series
        ],
        "promql_expr_test": [
            {
                "expr": prometheus._RATE.replace("{window}", "5m"),
                "eval_time": "9m",
                # The first four, one a second each.
                "exp_samples": [{"labels": "{}", "value": 4}],
            }
        ],
    }
    file = tmp_path / "test.yaml"
    file.write_text(json.dumps({"tests": [case]}))
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_simulated_and_the_command_line_takes_precedence(served, tmp_path, capsys):
    out = tmp_path / "out.json"
    asked = ["--prometheus", served(FLEET), "--devices", "100", "--replicas", "5"]
    assert main([*asked, "--duration", "200", "--replications", "2", "--out", str(out)]) == 0
    assert "3 replicas of 8 slots" in capsys.readouterr().err
    setup = json.loads(out.read_text())
    assert (setup["replicas"], setup["max_running"]) == (5, 8)
    assert setup["per_hour"] == pytest.approx(72)


@pytest.mark.parametrize("missing", ["duet_requests_total", "^count", "signal_tokens"])
def test_a_fleet_without_numbers_is_refused(served, missing):
    values = {key: value for key, value in FLEET.items() if missing not in key}
    with pytest.raises(UsageProblem):
        read_fleet(served(values), "1h")


def test_what_is_not_prometheus_is_one_line(served, capsys):
    assert main(["--prometheus", "http://127.0.0.1:1"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot reach Prometheus" in line
    with pytest.raises(BenchError):
        read_fleet("nonsense", "1h")
