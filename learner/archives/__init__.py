"""The file format of archives: months of results as Parquet, whose raw JSON takes a tenth of what compression alone makes of it."""
