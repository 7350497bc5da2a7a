"""What `learner init` writes: the files of a runbook repository, and settings that explain themselves."""
