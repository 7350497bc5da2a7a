"""`python -m learner`."""

from learner.cli import main

main()
