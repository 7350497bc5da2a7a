"""What counts as merged and what it is worth: by texts on main, never by anybody's word."""

from __future__ import annotations

from dataclasses import replace

import pytest

from learner.afterwards import Room, bounded
from learner.models import FollowUp, RunbookMetadata, Score
from learner.models.score import compared
from learner.proposals.brief import fingerprint
from learner.proposals.edit import apply
from learner.proposals.merged import Improvement, improvements, unwanted
from learner.proposals.revert import reverted
from learner.runbook_file import RunbookFile, parse
from tests.proposals.test_candidate import PARENT, RESTORE, edit_of

EDIT = edit_of(RESTORE)
V2 = parse(apply(PARENT, EDIT, RunbookMetadata(generated_by="learning_engine")))
ID = PARENT.runbook.id
REVIEWS = {
    f"{ID}-v2": {"proposals": {"f": {"edit": EDIT.model_dump(mode="json", exclude_none=True), "proposer": "gpt-4o"}}}
}


def found(*texts: RunbookFile, current: RunbookFile = V2) -> tuple[Improvement, ...]:
    versions: dict[str, list[RunbookFile]] = {}
    for file in texts:
        versions.setdefault(file.runbook.ref, []).append(file)
    return improvements(REVIEWS, versions, {}, {ID: current})


def test_an_edit_counts_as_merged_when_main_held_what_it_makes() -> None:
    (one,) = found(PARENT, V2)
    assert (one.ref, one.proposer, one.taken_back) == (f"{ID}-v2", "gpt-4o", False)
    assert found(PARENT) == ()
    assert found(V2) == (), "the parent never stood on main"


def test_a_persons_version_of_the_edit_is_that_persons() -> None:
    theirs = parse(V2.text.replace(b"timeout_seconds: 20", b"timeout_seconds: 40"))
    assert found(PARENT, theirs) == ()
    assert len(found(PARENT, theirs, V2)) == 1, "the learner's own text stood there as well"


def test_what_was_taken_back_is_not_wanted_again() -> None:
    (one,) = found(PARENT, V2)
    v3 = parse(reverted(one))
    (gone,) = found(PARENT, V2, v3, current=v3)
    assert gone.taken_back
    assert unwanted([gone], v3, 5) == {fingerprint(v3, EDIT)}
    (by_hand,) = found(PARENT, V2, current=PARENT)
    assert by_hand.taken_back, "main went back to v1 by a revert of the merge"
    assert unwanted([one], V2, 5) == frozenset()


def test_a_way_back_is_the_parents_text_with_the_next_number() -> None:
    (one,) = found(PARENT, V2)
    text = reverted(one)
    assert text == reverted(one)
    back = parse(text)
    assert back.runbook.version == 3
    assert back.runbook.metadata is not None
    assert (back.runbook.metadata.parent_runbook, back.runbook.metadata.requires_human_review) == (f"{ID}-v2", True)
    kept = [line for line in PARENT.text.splitlines() if not line.startswith(b"version")]
    assert [line for line in text.splitlines() if line in kept] == kept
    again = parse(reverted(replace(one, parent=V2, new=parse(V2.text.replace(b"version: 2", b"version: 4")))))
    assert again.runbook.metadata is not None
    assert again.runbook.metadata.generation_model == "revert", "the parent's own origin is not carried over"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [((0, 5), (12, 0), "better"), ((0, 1), (12, 0), None), ((12, 1), (0, 8), "worse"), ((8, 4), (4, 4), None), ((0, 0), (9, 0), None)],
)  # fmt: skip
def test_only_intervals_that_do_not_touch_tell_two_versions_apart(
    old: tuple[int, int], new: tuple[int, int], said: str | None
) -> None:
    scores = [Score(ref=f"{ID}-v{n}", verified=v, failed=f) for n, (v, f) in enumerate((old, new), 1)]
    assert compared(scores[1], scores[0]) == said


def test_limits_put_off_what_follows_too() -> None:
    ups = [FollowUp(kind="pattern", runbook_id=ID, version=n, outcome="proposed") for n in (2, 3)]
    assert [up.outcome for up in bounded(ups, Room(open=5, run=1))] == ["proposed", "deferred"]
    assert [up.reason.split(":")[0] for up in bounded(ups, Room(open=0, run=5))] == ["open_pull_requests"] * 2
