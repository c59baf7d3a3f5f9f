"""The pairs that come with the code, made by one command each."""
