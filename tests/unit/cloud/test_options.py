import pytest

from duet_cloud.cli import main
from duet_cloud.commands.serve import serve
from duet_cloud.errors import UsageError
from duet_cloud.options import ServeOptions
from tests.doubles.options import parse_options


def test_defaults_are_loopback():
    options = parse_options([])
    assert options == ServeOptions()
    assert options.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("arguments", "engine"),
    [
        ([], {}),
        # What vLLM does anyway; on processors, and for several pairs, ours is another default.
        (["--no-enforce-eager"], {"enforce_eager": False}),
        (["--dtype=auto"], {"dtype": "auto"}),
        (["--tensor-parallel", "2", "-pp", "3"], {"tensor_parallel_size": 2,
                                                  "pipeline_parallel_size": 3}),
        (["--distributed-executor-backend", "ray"], {"distributed_executor_backend": "ray"}),
        (["--speculative-config", '{"method": "ngram", "num_speculative_tokens": 3}'],
         {"speculative_config": {"method": "ngram", "num_speculative_tokens": 3}}),
        (["--speculative-config.method", "ngram"], {"speculative_config": {"method": "ngram"}}),
    ],
)  # fmt: skip
def test_what_was_given_and_nothing_else_reaches_the_engine(arguments, engine):
    assert parse_options(arguments).engine == engine


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "other"], "--model belongs to the pair"),
        (["--tokenizer", "other"], "--tokenizer belongs to the pair"),
    ],
)
def test_contradictions(arguments, message):
    with pytest.raises(UsageError, match=message):
        parse_options(arguments)


def test_unknown_flags_are_usage(capsys):
    assert main(["serve", "--no-such-flag-anywhere"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("duet-cloud: ")
    assert line.endswith("--no-such-flag-anywhere; see: duet-cloud serve --help-engine")


def test_help_engine_lists_the_engines_flags(capsys):
    assert main(["serve", "--help-engine"]) == 0
    assert "--tensor-parallel-size" in capsys.readouterr().out


@pytest.mark.parametrize(
    "flags", [["-tp", "2"], ["-dph"], ["-O3"], ["--gpu-memory-utilization=0.5"], ["-cc", "{}"]]
)
def test_an_engine_flag_is_passed_on_as_it_is(flags):
    with serve.make_context("serve", ["--host", "::1", *flags, "--port", "0"]) as context:
        assert context.params["engine_flags"] == tuple(flags)
        assert (context.params["host"], context.params["port"]) == ("::1", 0)


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--chunk-tokens", "0", "0 is not in the range"),
        ("--chunk-ms", "nan", "not a finite number"),
        ("--grace-s", "inf", "inf is not in the range"),
        ("--write-s", "0", "0.0 is not in the range from 0.1"),
        ("--max-running", "9" * 5000, "is not a valid integer"),
        ("--port", "70000", "70000 is not in the range from 0 to 65,535"),
        ("--log-format", "a\x1b[2Jb\nc", "a\\x1b[2Jb"),
    ],
)
def test_malformed_values_are_one_line(capsys, option, value, told):
    assert main(["serve", f"{option}={value}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("duet-cloud: ")
    assert line.endswith("; see: duet-cloud serve --help")
    assert option in line
    assert told in line
    assert len(line) < 300


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("PORT", "http", "'http' is not a valid integer"),
        ("LOG_FORMAT", "xml", "'xml' is not one of 'console', 'json'"),
        ("REFLECTION", "perhaps", "'perhaps' is not a valid boolean"),
        ("CONFIG", "/nowhere/serve.yaml", "cannot read /nowhere/serve.yaml"),
    ],
)
def test_malformed_variables_are_one_line(capsys, monkeypatch, option, value, told):
    variable = f"DUET_CLOUD_SERVE_{option}"
    monkeypatch.setenv(variable, value)
    assert main(["serve"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert option == "CONFIG" or f"(environment variable {variable})" in line


def test_a_variable_that_is_not_used_is_not_named(capsys, monkeypatch):
    monkeypatch.setenv("DUET_CLOUD_SERVE_PORT", "1")
    assert main(["serve", "--port", "http"]) == 2
    assert "environment" not in capsys.readouterr().err
