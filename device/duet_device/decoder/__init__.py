"""Run the decoder: evaluate prompts, generate answers, and predict tokens."""
