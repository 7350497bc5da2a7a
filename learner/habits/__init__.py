"""What runs that worked show of a runbook: steps that do nothing, second tries, wear, and shorter ways.

Values in, values out. `HabitFold` is what is known of all history, `found` says what it means.
"""

from learner.habits.fold import HabitFold
from learner.habits.found import Habit, edit_for, found

__all__ = ["Habit", "HabitFold", "edit_for", "found"]
