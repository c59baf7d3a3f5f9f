"""Baselines that train: the reasoner learns to answer by itself. One reward a file.

The trainer, GRPO groups, KL term, checkpoints and evaluation are those of the joint method; no
decoder is started. Symbols: r in [0, 1] is the verifier's score of a response, |z| its length in
tokens (`duet_training.objective.lengths`), Q questions a step, S responses a question.
"""
