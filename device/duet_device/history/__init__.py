"""What outlives a question: the history, and the vault that seals it and the keys."""
