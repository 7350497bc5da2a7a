"""Why runs fail: signatures, clusters, contrast, rules, and the small model for what no rule knows."""
