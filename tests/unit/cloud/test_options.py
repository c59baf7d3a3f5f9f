import pytest

from duet_cloud.errors import UsageError
from duet_cloud.options import ServeOptions, parse_options


def test_defaults_are_loopback():
    options = parse_options([])
    assert options == ServeOptions()
    assert options.host == "127.0.0.1"


def test_engine_flags_pass_through():
    options = parse_options(
        ["--pair", "x", "--tensor-parallel-size", "2", "--no-enable-prefix-caching"]
    )
    assert options.pairs == ("x",)
    assert options.engine == {"tensor_parallel_size": 2, "enable_prefix_caching": False}


@pytest.mark.parametrize(
    ("arguments", "engine"),
    [
        ([], {}),
        # What vLLM does anyway; on processors, and for several pairs, ours is another default.
        (["--no-enforce-eager"], {"enforce_eager": False}),
        (["--gpu-memory-utilization", "0.92"], {"gpu_memory_utilization": 0.92}),
        (["--dtype=auto"], {"dtype": "auto"}),
        (["--tensor-parallel", "2", "-pp", "3"], {"tensor_parallel_size": 2,
                                                  "pipeline_parallel_size": 3}),
        (["--distributed-executor-backend", "ray"], {"distributed_executor_backend": "ray"}),
        (["--quantization", "fp8"], {"quantization": "fp8"}),
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
        (["--model", "Qwen/Qwen3-0.6B"], "--model belongs to the pair"),  # vLLM's default
        (["--tokenizer", "other"], "--tokenizer belongs to the pair"),
    ],
)
def test_contradictions(arguments, message):
    with pytest.raises(UsageError, match=message):
        parse_options(arguments)


def test_unknown_flags_end_with_usage():
    with pytest.raises(SystemExit) as caught:
        parse_options(["--no-such-flag-anywhere"])
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--chunk-tokens", "0", "'0' is not a whole number from 1"),
        ("--chunk-tokens", "1e3", "'1e3' is not a whole number"),
        ("--chunk-ms", "-1", "'-1' is not a number from 0"),
        ("--chunk-ms", "nan", "'nan' is not a number"),
        ("--grace-s", "inf", "'inf' is not a number from 0 to 86,400"),
        ("--grace-s", "1e999", "'1e999' is not a number"),
        ("--write-s", "0", "'0' is not a number from 0.1"),
        ("--max-running", "0", "'0' is not a whole number from 1"),
        ("--max-running", "9" * 5000, "is not a whole number"),
        ("--max-waiting", "-1", "'-1' is not a whole number from 0"),
        ("--port", "70000", "'70000' is not a whole number from 0 to 65535"),
        ("--metrics-port", "-1", "'-1' is not a whole number from 0 to 65535"),
        ("--enrollment-port", "65536", "'65536' is not a whole number from 0 to 65535"),
        ("--log-format", "a\x1b[2Jb\nc", "a\\x1b[2Jb"),
    ],
)
def test_malformed_values_are_one_line(capsys, option, value, told):
    with pytest.raises(SystemExit) as caught:
        parse_options([f"{option}={value}"])
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("duet_cloud.serve: ")
    assert option in line
    assert told in line
    assert len(line) < 300


def test_help_names_no_default_where_there_is_none(capsys):
    with pytest.raises(SystemExit):
        parse_options(["--help"])
    out = capsys.readouterr().out
    assert "(default: 30.0)" in out
    assert "default: None" not in out
    assert "default: False" not in out
