"""Data sets as VERL's parquet rows: `duet-train data prepare NAME`."""
