"""Reports of measurements: figures, verdicts, tables, plots, and a page."""
