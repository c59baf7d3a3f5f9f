"""Ways to answer a question with a pair, or a part of it: what evaluation compares."""
