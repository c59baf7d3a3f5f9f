"""Result files: schemas of runs, reports and figures, and the committed results."""
