"""What the learner remembers on the branch `ledger`: analyses, reviews, and the folded state."""

from learner.ledger.branch import Ledger, at, read, write

__all__ = ["Ledger", "at", "read", "write"]
