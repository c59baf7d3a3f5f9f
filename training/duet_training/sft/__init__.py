"""The start of a pair from scratch: tokenizer, models, supervised training on worked stories."""
