"""Four ranks of one policy over gloo, on one machine without an accelerator."""

import pytest

from duet_training.rl.trainer import Trainer
from tests.doubles.small_runs import settings_of

# What a step computes from its samples, and what VERL reports of the update.
FIGURES = [
    *("reward/reasoner", "reasoner/kl", "tokens/length", "reasoner/tied_groups"),
    *("reasoner/loss", "reasoner/clipped", "reasoner/ppo_kl", "reasoner/grad_norm"),
]


def test_four_ranks_learn_what_one_does(prepared):
    """Rows are dealt out by length, mini-batches and the loss stay the same."""
    found = {}
    for ranks in (1, 4):
        settings = settings_of(
            prepared,
            f"ranks-{ranks}",
            f"hardware.devices={ranks}",
            *("method=single", "steps=1", "validate.every=0", "track=[]", "seed=3"),
            *("batch.questions=4", "batch.mini_batch=2"),
            "objective.loss_aggregation=micro-batch-token-mean",
        )
        trainer = Trainer(settings)
        try:
            assert trainer.policies["reasoner"].workers.world_size == ranks
            found[ranks] = trainer.step()
        finally:
            trainer.close()
    for name in FIGURES:
        assert found[4][name] == pytest.approx(found[1][name], rel=1e-3, abs=1e-6), name
    assert found[1]["reasoner/grad_norm"] > 0
    assert found[4]["reasoner/log_prob_difference"] < 1e-4
