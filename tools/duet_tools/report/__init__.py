"""What was measured, for people and for machines: figures, verdicts, tables, plots, a page."""
