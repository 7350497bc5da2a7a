"""The machines a runbook can run on, each an implementation of `actions.host.Host`."""
