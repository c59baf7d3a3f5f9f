"""Child process of `duet_tools.bench.direct`: loads `AsyncLLM` and runs rounds read from stdin.

A line of JSON in, a line of JSON out. It imports vLLM and nothing of DUET's, and asks for what the
service asks for: new token ids as they come, no text.
"""

import asyncio
import json
import os
import sys
import time
from typing import IO, Any

from vllm import SamplingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.inputs import TokensPrompt
from vllm.sampling_params import RequestOutputKind
from vllm.utils.argparse_utils import FlexibleArgumentParser
from vllm.v1.engine.async_llm import AsyncLLM


def main() -> None:
    """Load the engine with vLLM's flags from the command line; run until stdin ends."""
    # The engine's processes print on stdout, which belongs to the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    parser = AsyncEngineArgs.add_cli_args(FlexibleArgumentParser())
    arguments = AsyncEngineArgs.from_cli_args(parser.parse_args())
    asyncio.run(_serve(arguments, answers))


async def _serve(arguments: AsyncEngineArgs, answers: IO[str]) -> None:
    llm = AsyncLLM.from_engine_args(arguments)
    try:
        _write(answers, {"ready": True})
        number = 0
        while line := await asyncio.to_thread(sys.stdin.readline):
            command = json.loads(line)
            began = time.perf_counter()
            streams = [
                _stream(llm, f"{number}-{index}", prompt, command)
                for index, prompt in enumerate(command["prompts"])
            ]
            done = await asyncio.gather(*streams)
            _write(answers, {"seconds": time.perf_counter() - began, "streams": done})
            number += 1
    finally:
        llm.shutdown()


async def _stream(
    llm: AsyncLLM, request_id: str, prompt: list[int], command: dict[str, Any]
) -> dict[str, float]:
    sampling = SamplingParams(
        temperature=0.0,
        max_tokens=command["budget"],
        stop_token_ids=[command["stop_id"]],
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
    )
    began = time.perf_counter()
    tokens, first = 0, 0.0
    async for output in llm.generate(TokensPrompt(prompt_token_ids=prompt), sampling, request_id):
        completion = output.outputs[0]
        first = first or time.perf_counter() - began
        tokens += len(completion.token_ids)
        if completion.finish_reason == "stop":
            tokens -= 1
    return {"tokens": tokens, "first_s": first, "total_s": time.perf_counter() - began}


def _write(answers: IO[str], answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
