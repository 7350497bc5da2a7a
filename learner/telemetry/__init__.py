"""How results travel: redacted, spooled on the host, pushed to an inbox, folded onto `telemetry`, read back."""
