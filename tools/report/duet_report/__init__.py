"""Intervals, tables, plots and pages of reports; training and the tools both use it."""
