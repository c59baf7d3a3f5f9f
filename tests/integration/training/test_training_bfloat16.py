"""The tolerance of bfloat16 runs: what two engines that agree differ by, and what faults do.

The rollout reads token by token from a cache, the trainer whole sequences, with another attention.
Both are of a trained model: a random one is sure of nothing, so that little changes its log-probs.
"""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from duet_training.rl.monitors import agree, log_prob_differences
from duet_training.settings.run import settings_from
from duet_training.verl_backend.cpu.batch import respond
from duet_training.verl_backend.cpu.sampler import SeededSampler
from duet_training.verl_backend.generation import Response

MODEL = Path(__file__).parents[3] / "cloud/pairs/duet_pairs/stories-5m/reasoner"
QUESTIONS = [f"Nina had {n} euros. She bought 3 books for 8 euros each." for n in (40, 75, 12, 60)]


def _load(dtype, attention):
    return AutoModelForCausalLM.from_pretrained(
        MODEL, dtype=dtype, attn_implementation=attention
    ).eval()


@pytest.fixture(scope="module")
def rollout():
    """Prompts, and responses with the log-probs of a bfloat16 rollout."""
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    chats = [[{"role": "user", "content": question}] for question in QUESTIONS]
    prompts = [
        tokenizer.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]
        for chat in chats
    ]
    stops = [tokenizer.eos_token_id]
    with torch.inference_mode():
        found = respond(
            _load(torch.bfloat16, "eager"), prompts, SeededSampler([1, 2, 3, 4], 1.0), 40, stops
        )
    return prompts, [Response(tokens, log_probs, True) for tokens, log_probs in found]


@torch.inference_mode()
def _trained(rollout, temperature=1.0, noise=0.0):
    """The trainer's log-probs: float32 masters, passes in bfloat16."""
    model = _load(torch.float32, "sdpa")
    torch.manual_seed(0)
    for weight in model.parameters():
        weight += noise * weight.std() * torch.randn_like(weight)
    rows = []
    for prompt, response in zip(*rollout, strict=True):
        ids = torch.tensor([prompt + response.tokens])
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(ids, use_cache=False).logits[0, len(prompt) - 1 : -1]
        log_probs = (logits.float() / temperature).log_softmax(-1)
        rows.append(log_probs.gather(-1, torch.tensor(response.tokens)[:, None])[:, 0])
    differences = log_prob_differences(
        rollout[1], torch.nested.as_nested_tensor(rows, layout=torch.jagged)
    )
    return {f"reasoner/{name}": value for name, value in differences.items()}


def _alarm(metrics):
    overrides = ["pair=p", "out=o", "data.train=t", "hardware=h100x4"]
    checks = settings_from(overrides).checks
    return agree("reasoner", metrics, checks.log_prob_of, checks.log_prob_tolerance)


def test_engines_that_agree_pass(rollout):
    metrics = _trained(rollout)
    # A single token differs by more than float32's tolerance, so its largest difference says little.
    assert metrics["reasoner/log_prob_difference"] > 1e-3
    assert _alarm(metrics) is None


@pytest.mark.parametrize("fault", [{"temperature": 2.0}, {"noise": 0.3}])
def test_another_temperature_or_other_weights_are_noticed(rollout, fault):
    assert "rollout and trainer disagree" in _alarm(_trained(rollout, **fault))
