"""Data sets as VERL's parquet rows: `python -m training.data NAME`."""
