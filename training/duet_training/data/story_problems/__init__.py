"""Generated word problems with worked solutions: what the experiments and the released pairs are trained on."""
