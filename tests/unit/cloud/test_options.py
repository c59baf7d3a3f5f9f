import pytest

from cloud.errors import UsageError
from cloud.options import ServeOptions, parse_options


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
        (["--gather-tokens", "0"], "--gather-tokens must be at least 1"),
        (["--gather-ms", "-1"], "--gather-ms must be at least 0"),
        (["--max-running", "0"], "--max-running must be at least 1"),
        (["--max-waiting", "-1"], "--max-waiting must be at least 0"),
        (["--grace-s", "-1"], "--grace-s must be at least 0"),
        (["--port", "70000"], "--port must be from 0 to 65535"),
        (["--metrics-port", "70000"], "--metrics-port must be from 0 to 65535"),
        (["--metrics-port", "-1"], "--metrics-port must be from 0 to 65535"),
        (["--enrolment-port", "65536"], "--enrolment-port must be from 0 to 65535"),
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
