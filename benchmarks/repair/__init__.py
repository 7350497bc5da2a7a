"""How good the learner's answers are: failure cases with known causes, and what becomes of them."""
