"""How telemetry scales: `python -m benchmarks.telemetry`."""
