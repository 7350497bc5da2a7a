"""How often a runbook version is known to have worked, and whether that is more or less than another one's."""

from __future__ import annotations

import math
from typing import Literal

from learner.models.runbook import RunbookRef
from learner.strict import Count, Share, Strict, UtcInstant

Z_95 = 1.959963984540054


class Interval(Strict):
    """A 95% interval of a share."""

    low: Share
    high: Share


def wilson(successes: int, trials: int) -> Interval | None:
    """The 95% Wilson score interval; None without trials.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    if not trials:
        return None
    share = successes / trials
    scale = 1 + Z_95**2 / trials
    middle = (share + Z_95**2 / (2 * trials)) / scale
    half = Z_95 * math.sqrt(share * (1 - share) / trials + Z_95**2 / (4 * trials**2)) / scale
    return Interval(low=max(0.0, round(middle - half, 6)), high=min(1.0, round(middle + half, 6)))


class Score(Strict):
    """The judged runs of one version's approved bytes."""

    ref: RunbookRef
    verified: Count
    failed: Count
    last_run: UtcInstant | None = None

    @property
    def judged(self) -> int:
        return self.verified + self.failed

    @property
    def interval(self) -> Interval | None:
        """Verified success, as a 95% interval; None when nothing was judged."""
        return wilson(self.verified, self.judged)

    @property
    def words(self) -> str:
        """`80% (61–91%) of 25 judged runs`."""
        if (interval := self.interval) is None:
            return "no judged run"
        runs = "run" if self.judged == 1 else "runs"
        share = self.verified / self.judged
        return f"{share:.0%} ({interval.low:.0%}–{interval.high:.0%}) of {self.judged} judged {runs}"


def compared(new: Score, old: Score) -> Literal["better", "worse"] | None:
    """What `new` proved to be against `old`; None while their intervals overlap.

    Two 95% intervals that do not touch are a stricter measure than a test at 5%, so little chance is taken for proof.

    Source: N. Schenker, J. F. Gentleman, "On judging the significance of differences by examining the overlap between
    confidence intervals", The American Statistician 55, 2001.
    """
    ours, theirs = new.interval, old.interval
    if ours is None or theirs is None:
        return None
    if ours.low > theirs.high:
        return "better"
    return "worse" if ours.high < theirs.low else None
