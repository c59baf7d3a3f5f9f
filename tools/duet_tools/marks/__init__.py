"""How good a pair's marks are, and what further signals to doubtful questions gain."""
