"""Generated word problems with worked solutions: what the evidence and the shipped pair learn."""
