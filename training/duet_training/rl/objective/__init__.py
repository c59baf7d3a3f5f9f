"""The objective: what each model is rewarded for, as small pure functions.

Symbols as in arXiv 2605.01111: question x, signal z from the large model M, answer y from the small
model m. Q questions a step, S signals a question, A answers a signal.
"""
