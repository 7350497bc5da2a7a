"""Improvements that people merged just as the learner wrote them, and what they proved to be worth."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from learner.models import Proposal, RunbookEdit, Score
from learner.models.score import compared
from learner.proposals.brief import fingerprint
from learner.proposals.edit import EditError, applied
from learner.runbook_file import RunbookFile
from learner.strict import Json
from learner.yaml_text import same

_OF_THE_VERSION = ("version", "metadata")


@dataclass(frozen=True)
class Improvement:
    """One merged edit: what it was made from, what it made, and how both versions fared."""

    parent: RunbookFile
    new: RunbookFile
    edit: RunbookEdit
    proposer: str
    title: str
    """The masked error that it repaired."""
    action: str | None
    check: str | None
    signature: str
    evidence: tuple[str, ...]
    old_score: Score
    new_score: Score
    taken_back: bool = False
    """Whether `main` went back to the parent's text afterwards."""

    @property
    def ref(self) -> str:
        return self.new.runbook.ref

    def worth(self, least: int) -> Literal["better", "worse"] | None:
        """What the new version proved to be; None before `least` judged runs of it, or while chance may explain it."""
        return compared(self.new_score, self.old_score) if self.new_score.judged >= least else None

    @property
    def figures(self) -> str:
        """`0% (0–43%) of 5 judged runs before, 95% (76–99%) of 20 judged runs since`."""
        return f"{self.old_score.words} before, {self.new_score.words} since"


def remembered(proposal: Proposal) -> dict[str, Any]:
    """What the ledger keeps of a proposal, so that its worth can be told once it is merged."""
    cluster = proposal.cluster
    return {
        "edit": proposal.edit.model_dump(mode="json", exclude_none=True), "title": cluster.title, "action": cluster.action,
        "check": cluster.check, "evidence": list(cluster.evidence),
    }  # fmt: skip


def proposed(reviews: Mapping[str, Mapping[str, Any]]) -> frozenset[str]:
    """The ids of the runbooks that the ledger knows edits for."""
    return frozenset(
        ref.rpartition("-v")[0]
        for ref, review in reviews.items()
        if any("edit" in held for held in review.get("proposals", {}).values())
    )


def improvements(
    reviews: Mapping[str, Mapping[str, Any]],
    versions: Mapping[str, Sequence[RunbookFile]],
    scores: Mapping[str, Score],
    current: Mapping[str, RunbookFile],
) -> tuple[Improvement, ...]:
    """Every edit on the ledger that `main` took over word for word, by runbook and version.

    `versions` are the texts that `main` held of each version, `scores` count the runs of those texts. An edit that a
    person changed before merging is that person's, and is not among them.
    """
    found = (one for ref, review in sorted(reviews.items()) for one in _of(ref, review, versions, scores, current))
    return tuple(sorted(found, key=lambda one: (one.new.runbook.id, one.new.runbook.version)))


def _of(
    ref: str,
    review: Mapping[str, Any],
    versions: Mapping[str, Sequence[RunbookFile]],
    scores: Mapping[str, Score],
    current: Mapping[str, RunbookFile],
) -> Iterator[Improvement]:
    runbook_id, _, number = ref.rpartition("-v")
    if not number.isdigit() or not versions.get(ref):
        return
    before, after = f"{runbook_id}-v{int(number) - 1}", f"{runbook_id}-v{int(number) + 1}"
    for held in review.get("proposals", {}).values():
        edit = _edit(held.get("edit"))
        pair = edit and _merged(edit, versions.get(before, ()), versions[ref])
        if not edit or not pair:
            continue
        parent, new = pair
        now = current.get(runbook_id)
        back = any(same(_text(parent), _text(file)) for file in versions.get(after, ()))
        yield Improvement(
            parent=parent,
            new=new,
            edit=edit,
            proposer=str(held.get("proposer", "")),
            title=str(held.get("title", "")),
            action=held.get("action"),
            check=held.get("check"),
            signature=str(held.get("signature", "")),
            evidence=tuple(map(str, held.get("evidence", ()))),
            old_score=scores.get(before, Score(ref=before, verified=0, failed=0)),
            new_score=scores.get(ref, Score(ref=ref, verified=0, failed=0)),
            taken_back=back or (now is not None and now.runbook.version < int(number)),
        )


def _edit(held: Any) -> RunbookEdit | None:
    try:
        return RunbookEdit.model_validate_json(json.dumps(held)) if held else None
    except ValidationError:
        return None


def _merged(
    edit: RunbookEdit, parents: Sequence[RunbookFile], texts: Sequence[RunbookFile]
) -> tuple[RunbookFile, RunbookFile] | None:
    """The texts before and after the edit, as `main` held them; None when it never held what the edit makes."""
    for parent in parents:
        try:
            wanted = {key: part for key, part in applied(parent.tree.value, edit).items() if key not in _OF_THE_VERSION}
        except EditError:
            continue
        for text in texts:
            if same(wanted, _text(text)):
                return parent, text
    return None


def _text(file: RunbookFile) -> dict[str, Json]:
    """What a runbook says, without its number and its origin."""
    return {key: part for key, part in file.tree.value.items() if key not in _OF_THE_VERSION}


def unwanted(found: Sequence[Improvement], parent: RunbookFile, least: int) -> frozenset[str]:
    """Fingerprints, as edits of `parent`, of what was merged into this runbook and did worse or was taken back."""
    return frozenset(fingerprint(parent, one.edit) for one in failed(found, parent.runbook.id, least))


def failed(found: Sequence[Improvement], runbook_id: str, least: int) -> tuple[Improvement, ...]:
    """What was merged into a runbook and did worse, or was taken back."""
    return tuple(
        one for one in found if one.new.runbook.id == runbook_id and (one.taken_back or one.worth(least) == "worse")
    )
