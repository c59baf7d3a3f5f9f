"""The decoder at work: its tokens, and guesses ahead of them."""
