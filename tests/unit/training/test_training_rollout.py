"""Batches of a CPU's rollout server: what `generate` gives to each prompt alone."""

import pytest
import torch
from transformers import AutoModelForCausalLM, LogitsProcessorList

from duet_training.verl_backend.cpu import batch
from duet_training.verl_backend.cpu.batch import respond
from duet_training.verl_backend.cpu.sampler import SeededSampler

STOPS = [5, 9]
PROMPTS = [[7, 8, 10 + row] * (1 + row % 3) for row in range(12)]


@pytest.fixture(scope="module")
def model(pair_file):
    path = pair_file.parent / "reasoner"
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()


@torch.inference_mode()
def _alone(model, prompt, seed, temperature, limit):
    sampler = SeededSampler([seed], temperature)
    ids = model.generate(
        input_ids=torch.tensor([prompt]),
        max_new_tokens=limit,
        do_sample=False,
        logits_processor=LogitsProcessorList([sampler]),
        eos_token_id=STOPS,
        pad_token_id=STOPS[0],
    )
    tokens = ids[0, len(prompt) :].tolist()
    return tokens, [float(step[0]) for step in sampler.log_probs]


@pytest.mark.parametrize("share", [0.25, 2.0])
@pytest.mark.parametrize("temperature", [1.0, 0.0])
def test_responses_are_those_of_each_prompt_alone(model, monkeypatch, share, temperature):
    """Whether rows that have ended are left behind or not."""
    monkeypatch.setattr(batch, "ENDED", share)
    limit, passes = 60, []
    generate = model.generate

    def counted(**given):
        passes.append(given["input_ids"].shape[0])
        return generate(**given)

    monkeypatch.setattr(model, "generate", counted)
    sampler = SeededSampler(range(len(PROMPTS)), temperature)
    found = respond(model, PROMPTS, sampler, limit, STOPS)
    monkeypatch.undo()
    for seed, (prompt, (tokens, log_probs)) in enumerate(zip(PROMPTS, found, strict=True)):
        alone, its_log_probs = _alone(model, prompt, seed, temperature, limit)
        assert tokens == alone
        assert log_probs == pytest.approx(its_log_probs, abs=1e-4)
        assert len(tokens) == limit or tokens[-1] in STOPS
        assert not set(tokens[:-1]) & set(STOPS)
    if temperature:
        ended = [len(tokens) for tokens, _ in found]
        assert min(ended) < limit  # the seeds are such that some end early
        assert (len(passes) > 1) == (share < 1)
        assert passes == sorted(passes, reverse=True)


def test_a_sampler_goes_on_with_some_of_its_rows():
    logits = torch.randn(3, 50)
    whole, fewer = (SeededSampler([1, 2, 3], 1.0) for _ in range(2))
    whole(None, logits)
    fewer(None, logits)
    assert len(fewer.taken()) == 1
    assert fewer.taken() == []
    fewer.keep([2, 0])
    second = whole(None, logits).argmax(-1).tolist()
    assert fewer(None, logits[[2, 0]]).argmax(-1).tolist() == [second[2], second[0]]
