"""Word problems whose questions are masked and whose solutions are formulas."""
