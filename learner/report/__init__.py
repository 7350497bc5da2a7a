"""What the learner's work is worth: metrics, alerts, and how they are shown."""
