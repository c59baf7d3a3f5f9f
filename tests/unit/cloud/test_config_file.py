import json

import pytest

from duet_cloud.cli import main
from duet_cloud.options import ServeOptions
from tests.doubles.options import parse_options


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "serve.yaml"

    def written(text):
        file.write_text(text, "utf-8")
        return str(file)

    return written


def test_our_options_and_the_engines(config):
    file = config(
        "pair: [a, b]\nport: 0\nchunk_ms: 20\nreflection: true\ntensor-parallel-size: 2\n"
        "enable-prefix-caching: false\nspeculative-config: {method: ngram}\n"
    )
    assert parse_options(["--config", file]) == ServeOptions(
        pairs=("a", "b"),
        port=0,
        chunk_ms=20,
        reflection=True,
        engine={
            "tensor_parallel_size": 2,
            "enable_prefix_caching": False,
            "speculative_config": {"method": "ngram"},
        },
    )


def test_the_command_line_takes_precedence_then_the_environment(config, monkeypatch):
    file = config("max-waiting: 1\nport: 1\nhost: localhost\ntensor-parallel-size: 2\n")
    monkeypatch.setenv("DUET_CLOUD_SERVE_MAX_WAITING", "2")
    monkeypatch.setenv("DUET_CLOUD_SERVE_PORT", "2")
    monkeypatch.setenv("DUET_CLOUD_SERVE_CONFIG", file)
    served = []
    monkeypatch.setattr("duet_cloud.service.run", served.append)
    assert main(["serve", "--port", "3", "--tensor-parallel-size", "4"]) == 0
    (options,) = served
    assert (options.port, options.max_waiting, options.host) == (3, 2, "localhost")
    assert options.engine == {"tensor_parallel_size": 4}


def test_the_engines_flags_have_variables_too(config, monkeypatch):
    file = config("tensor-parallel-size: 2\nseed: 1\n")
    for name, value in (
        ("TENSOR_PARALLEL_SIZE", "3"),
        ("SEED", "2"),
        ("ENABLE_PREFIX_CACHING", "false"),
        ("SPECULATIVE_CONFIG", '{"method": "ngram"}'),
        ("ALLOWED_ORIGINS", ""),
    ):
        monkeypatch.setenv(f"DUET_CLOUD_SERVE_{name}", value)
    assert parse_options(["--config", file, "--seed", "4"]).engine == {
        "tensor_parallel_size": 3,
        "seed": 4,
        "enable_prefix_caching": False,
        "speculative_config": {"method": "ngram"},
    }


def test_a_flag_of_the_engine_that_is_nearly_an_option_of_ours(config, monkeypatch):
    """`log-format` is ours."""
    monkeypatch.setenv("DUET_CLOUD_SERVE_CONFIG_FORMAT", "hf")
    assert parse_options(["--config", config("load-format: dummy")]).engine == {
        "load_format": "dummy",
        "config_format": "hf",
    }


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("PROT", "DUET_CLOUD_SERVE_PROT is unknown; did you mean DUET_CLOUD_SERVE_PORT?"),
        ("TENSOR_PARALEL_SIZE", "--tensor-paralel-size (did you mean --tensor-parallel-size?)"),
        ("HELP_ENGINE", "DUET_CLOUD_SERVE_HELP_ENGINE is for the command line alone"),
    ],
)
def test_an_unknown_variable_is_one_line(config, capsys, monkeypatch, name, told):
    monkeypatch.setenv(f"DUET_CLOUD_SERVE_{name}", "1")
    for command in (["serve"], ["check-config", config("port: 5")]):
        assert main(command) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert told in line


def test_one_pair_needs_no_list_and_an_empty_file_nothing(config):
    assert parse_options(["--config", config("pair: one")]).pairs == ("one",)
    assert parse_options(["--config", config("# nothing\n")]) == ServeOptions()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("chunk-token: 3", "chunk-token is unknown; did you mean chunk-tokens?"),
        (
            "prot: 1\nhots: x",
            "prot is unknown; did you mean port? hots is unknown; did you mean host?",
        ),
        ("no-such-key-anywhere: 2", "--no-such-key-anywhere"),
        ("port: 70000", "serve.yaml: 70000 is not in the range"),
        ("port: true", "port cannot be true"),
        ("port:", "port has no value"),
        ("reflection: 1", "reflection is true or false, not 1"),
        ("port: 1\nport: 2", "port is given twice"),
        ("1: 2", "must map names"),
        ("- port: 1", "must map names"),
        ("chunk_tokens: 1\nchunk-tokens: 2", "chunk_tokens and chunk-tokens are the same"),
        ("config: [other.yaml]", "config is for the command line alone"),
        ("help: true", "help is for the command line alone"),
        ("port: [1]", "port cannot be a list"),
        ("pair: []", "pair cannot be empty"),
        ("port: 1\n\thost: x", "not valid YAML"),
        ("port: {", "not valid YAML"),
        ('access: "a\\0b"', "access has a NUL character"),
        ("!!python/object:os.system {}", "not valid YAML"),
    ],
)
def test_what_is_wrong_is_one_line(config, capsys, text, told):
    assert main(["serve", "--config", config(text)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("duet-cloud: ")
    assert told in line


@pytest.mark.parametrize(
    "text",
    ["database: [postgresql://u:geheim@h/x]", "hf-tokn: geheim"],  # pragma: allowlist secret
)
def test_no_error_shows_a_secret(config, capsys, text):
    assert main(["serve", "--config", config(text)]) == 2
    error = capsys.readouterr().err
    assert text.split(":")[0] in error
    assert "geheim" not in error


def test_a_file_that_is_not_there(tmp_path, capsys):
    assert main(["check-config", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml: No such file" in capsys.readouterr().err


def test_a_checked_file(config, capsys, toy_pair):
    assert main(["check-config", config(f"pair: {json.dumps(str(toy_pair))}")]) == 0
    out = capsys.readouterr().out
    assert "serve.yaml: ok" in out
    assert "loopback only" in out


def test_a_checked_file_with_the_environment(config, capsys, toy_pair, monkeypatch):
    file = config(f"pair: {json.dumps(str(toy_pair))}\nport: 5")
    monkeypatch.setenv("DUET_CLOUD_SERVE_PORT", "6")
    assert main(["check-config", file]) == 0
    assert "127.0.0.1:6:" in capsys.readouterr().out
    # An option that has a variable of its own has this one, too.
    monkeypatch.setenv("DUET_CLOUD_SERVE_DATABASE", "postgresql://x/x")
    assert main(["check-config", file]) == 2
    assert "--database needs identities" in capsys.readouterr().err
    monkeypatch.setenv("DUET_CLOUD_SERVE_PORT", "x")
    assert main(["check-config", file]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "(environment variable DUET_CLOUD_SERVE_PORT)" in line


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("pair: {pair}\nhost: 0.0.0.0", 3, "without transport security"),
        ("pair: {pair}\nmetrics-port: 50151", 3, "--port and --metrics-port are both 50151"),
        (
            "pair: {pair}\nmetrics-port: 9090\nhealth-host: 0.0.0.0\nhealth-port: 9090",
            3,
            "--metrics-port and --health-port are both 9090",
        ),
        (
            "pair: {pair}\nmetrics-host: 192.0.2.1\nmetrics-port: 9090",
            3,
            "cannot use --metrics-port on 192.0.2.1:9090: Cannot assign",
        ),
        ("pair: {pair}\nhealth-host: a..b\nhealth-port: 9091", 3, "on a..b:9091: "),
        ("pair: no-such-pair", 6, "no-such-pair"),
        ("pair: {pair}\ntls-dir: /nowhere", 4, "/nowhere"),
        ("pair: {pair}\nenrollment-port: 1", 2, "--enrollment-port needs identities"),
        ("pair: [{pair}, {pair}]", 2, "twice"),
    ],
)
def test_what_the_service_would_refuse(config, capsys, toy_pair, text, code, told):
    file = config(text.replace("{pair}", json.dumps(str(toy_pair))))
    assert main(["check-config", file]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
