"""The whole loop on one machine, in a minute, for real: `learner demo`."""
