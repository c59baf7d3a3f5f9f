"""What is measured, as files: schemas of runs, reports and figures, and the committed ones."""
