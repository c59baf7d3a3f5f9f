"""Accuracy on held-out questions: one signal and one answer each."""

import numpy as np

from duet_training.data.rows import Problem
from duet_training.evaluation.verifiers import Verifier
from duet_training.pair.prompting import PairPrompts
from duet_training.rl.sampling import fit_signal, score
from duet_training.verl_backend.generation import Response, Sampling
from duet_training.verl_backend.policy import Policy


def validate(
    reasoner: Policy,
    decoder: Policy,
    prompts: PairPrompts,
    verifiers: dict[str, Verifier],
    problems: list[Problem],
    *,
    signal: Sampling,
    answer: Sampling,
    decoder_prompt: int,
    step: int,
) -> dict[str, float]:
    """Accuracy and mean tokens of signal, response and answer.

    `signal`, `answer`: how to sample.
    """

    def sampled(policy: Policy, ids: list[list[int]], sampling: Sampling) -> list[Response]:
        policy.to_rollout(step)
        responses = policy.sample(ids, sampling, range(len(ids)))
        policy.rest()
        return responses

    responses = sampled(reasoner, [prompts.reasoner(p.question) for p in problems], signal)
    signals = [prompts.signal(response.tokens) for response in responses]
    guided = [
        fit_signal(prompts, problem.question, ids, decoder_prompt)[0]
        for problem, ids in zip(problems, signals, strict=True)
    ]
    answers = sampled(decoder, guided, answer)
    texts = [prompts.answer_text(response.tokens) for response in answers]
    return {
        "validation/accuracy": float(score(verifiers, problems, texts).mean()),
        "validation/signal_tokens": float(np.mean([len(ids) for ids in signals])),
        "validation/response_tokens": float(np.mean([len(r.tokens) for r in responses])),
        "validation/answer_tokens": float(np.mean([len(r.tokens) for r in answers])),
    }
