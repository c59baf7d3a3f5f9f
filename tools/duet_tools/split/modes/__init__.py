"""Ways of getting a question answered, one a file: the split, and what one would run instead."""
