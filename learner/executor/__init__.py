"""Running an approved runbook on a host, and recording truthfully what happened."""
