"""What was measured, for people and for machines: figures, statements, tables, plots, a page."""
