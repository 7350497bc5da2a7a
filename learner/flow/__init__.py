"""The one interpreter: the only code that knows `when`, retry, timeout, `on_failure`, goto, rollback, finally and
verification. Live runs, dry runs and replays are three `Performer`s of the same `run`.

    interpreter    the course of a run: what comes next, and what it all amounts to
    steps          one step: its condition, its attempts, its record
    claims         verification: a window to come true in, and a time to stay so
    known          what the run knows of its host, and the expressions asked of it
    performer      what the interpreter asks for, and of whom
    parameters     values that fit, before anything runs
"""

from learner.flow.interpreter import MOST_STEPS, Run, run
from learner.flow.parameters import concrete, parameters
from learner.flow.performer import Attempt, Claim, Observation, Performer, Phase

__all__ = [
    "MOST_STEPS",
    "Attempt",
    "Claim",
    "Observation",
    "Performer",
    "Phase",
    "Run",
    "concrete",
    "parameters",
    "run",
]
