"""What the learner remembers on the branch `ledger`: analyses, reviews, and the folded state."""

from learner.ledger.branch import Ledger, read, write

__all__ = ["Ledger", "read", "write"]
