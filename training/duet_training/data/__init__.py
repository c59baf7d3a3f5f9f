"""Data sets as VERL's parquet rows: `python -m duet_training.data NAME`."""
