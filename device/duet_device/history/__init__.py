"""Store the answers to questions (the history); the vault encrypts them."""
