"""Measurements: deterministic data, every figure beside a floor of the same run."""
