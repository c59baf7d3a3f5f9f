"""The command lines that VERL gives to vLLM for our hardware, through vLLM's own parser.

vLLM is in another environment (SERVING_PYTHON): VERL composes the arguments here, with vLLM's
modules replaced, and vLLM parses them there. It is the CPU's release; GPUs have the one that VERL
pins.
"""

import json
import os
import subprocess
import sys

import pytest

from duet_training.pair.tiny import make_tiny_pair
from duet_training.settings.run import settings_from

SERVING = "SERVING_PYTHON"
# Two imports of vLLM and one of VERL.
pytestmark = pytest.mark.timeout(900)
HARDWARE = ["h100x4", "h100x4_separate", "gpu1"]
# Prints the flags that VERL asks vLLM for, then what each line of arguments becomes.
PARSER = """
import dataclasses, json, sys
from typing import get_args
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.cli import serve
from vllm.utils.argparse_utils import FlexibleArgumentParser

def asked(field):
    both = set(get_args(field.type)) == {bool, type(None)}
    return both or (field.type is bool and field.default in (None, True))

print(json.dumps([f.name for f in dataclasses.fields(AsyncEngineArgs) if asked(f)]), flush=True)
for line in sys.stdin:
    parser = FlexibleArgumentParser()
    commands = parser.add_subparsers(dest="subparser")
    for command in serve.cmd_init():
        command.subparser_init(commands)
    args = parser.parse_args(json.loads(line))
    args.model = args.model_tag
    engine = AsyncEngineArgs.from_cli_args(args)
    values = {f.name: getattr(engine, f.name) for f in dataclasses.fields(engine)}
    print(json.dumps(values, default=str), flush=True)
"""


@pytest.fixture(scope="module")
def parsed(tmp_path_factory):
    """vLLM's engine arguments by hardware and policy."""
    pair = make_tiny_pair(tmp_path_factory.mktemp("pair"))
    for file in pair.parent.glob("*/config.json"):
        config = json.loads(file.read_text()) | {"max_position_embeddings": 32768}
        file.write_text(json.dumps(config))
    command = [os.environ[SERVING], "-c", PARSER]
    ours = [sys.executable, "-m", "tests.doubles.vllm_arguments", str(pair)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as vllm:
        flags = _json_line(vllm.stdout)
        composed = subprocess.run(
            [*ours, json.dumps(flags), *HARDWARE], check=True, capture_output=True, text=True
        )
        given = json.loads(composed.stdout.splitlines()[-1])
        found = {}
        for hardware, policies in given.items():
            for policy, arguments in policies.items():
                vllm.stdin.write(json.dumps(arguments) + "\n")
                vllm.stdin.flush()
                found[hardware, policy] = _json_line(vllm.stdout)
        vllm.stdin.close()
    return found


def _json_line(lines):
    """The next line of JSON: vLLM logs between them."""
    return next(json.loads(line) for line in lines if line.startswith(("{", "[")))


@pytest.mark.skipif(SERVING not in os.environ, reason="names no interpreter")
@pytest.mark.parametrize("policy", ["reasoner", "decoder"])
@pytest.mark.parametrize("hardware", HARDWARE)
def test_vllm_understands_what_verl_says(parsed, hardware, policy):
    engine = parsed[hardware, policy]
    settings = settings_from(["pair=p", "out=o", "data.train=t", f"hardware={hardware}"])
    overrides = dict(
        override.removeprefix("+").removeprefix("actor_rollout_ref.rollout.").split("=", 1)
        for override in (*settings.hardware.verl, *getattr(settings.hardware, policy))
    )
    for name in ("max_num_seqs", "max_num_batched_tokens", "gpu_memory_utilization"):
        assert engine[name] == float(overrides[name])
    tokens, prompt = settings.tokens, settings.data.max_prompt
    longest = {
        "reasoner": prompt + tokens.response,
        "decoder": tokens.decoder_prompt + tokens.answer,
    }
    assert engine["max_model_len"] == longest[policy]
    assert engine["dtype"] == "bfloat16"
    assert engine["load_format"] == "dummy"
    assert engine["tensor_parallel_size"] == 1
    assert engine["enable_sleep_mode"] is True
    assert engine["enable_prefix_caching"] is True
    assert engine["enable_chunked_prefill"] is True
    assert engine["enforce_eager"] is False
    assert engine["disable_log_stats"] is True
    assert engine["logprobs_mode"] == "raw_logprobs"
    assert "FLASH_ATTN" in str(engine["attention_backend"])
    assert engine["worker_extension_cls"].endswith("vLLMColocateWorkerExtension")
