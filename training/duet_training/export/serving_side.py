"""Runs inside an interpreter that has vLLM, which need not be training's: a script, imports no
other file of ours. JSON in (`request` below), JSON out.

    python serving_side.py REQUEST.json RESULT.json
"""

import json
import os
import sys
from pathlib import Path
from typing import Any


def main(request_file: str, result_file: str) -> None:
    """Greedy responses to the prompts, and log-probs of the responses given.

    `request`: `model` (directory), `prompts` and `responses` (token ids), `stops`, `limit`, `top`.
    The result holds `responses` (token ids) and `log_probs`: for every token of the responses
    given, {id: log-prob} of the `top` most likely tokens and of itself.
    """
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    import vllm
    from vllm.platforms import current_platform

    request = json.loads(Path(request_file).read_text("utf-8"))
    prompts, responses = request["prompts"], request["responses"]
    whole = [prompt + response for prompt, response in zip(prompts, responses, strict=True)]
    longest = max(map(len, whole))
    options: dict[str, Any] = {
        "model": request["model"],
        "skip_tokenizer_init": True,
        "max_model_len": max(longest + 1, max(map(len, prompts)) + request["limit"]),
        "max_logprobs": request["top"],
        "enable_prefix_caching": False,
    }
    if current_platform.is_cpu():
        options["enforce_eager"] = True
    engine = vllm.LLM(**options)
    greedy = vllm.SamplingParams(
        temperature=0.0,
        max_tokens=request["limit"],
        stop_token_ids=request["stops"],
        detokenize=False,
    )
    read = vllm.SamplingParams(max_tokens=1, prompt_logprobs=request["top"], detokenize=False)
    generated = engine.generate(_tokens(prompts), greedy, use_tqdm=False)
    scored = engine.generate(_tokens(whole), read, use_tqdm=False)
    result = {
        "version": vllm.__version__,
        "dtype": str(engine.llm_engine.vllm_config.model_config.dtype).removeprefix("torch."),
        "responses": [list(output.outputs[0].token_ids) for output in generated],
        "log_probs": [
            [
                {token: value.logprob for token, value in (row or {}).items()}
                for row in output.prompt_logprobs[len(prompt) :]
            ]
            for output, prompt in zip(scored, prompts, strict=True)
        ],
    }
    # Whole or not there: who asked takes it for the answer, however this process ends.
    partial = Path(f"{result_file}.partial")
    partial.write_text(json.dumps(result), "utf-8")
    partial.replace(result_file)


def _tokens(rows: list[list[int]]) -> list[Any]:
    from vllm.inputs import TokensPrompt

    return [TokensPrompt(prompt_token_ids=row) for row in rows]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
