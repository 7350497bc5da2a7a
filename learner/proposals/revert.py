"""A version taken back: its parent's text under the next number, byte for byte but for number and origin."""

from __future__ import annotations

from learner.models import RunbookMetadata
from learner.proposals.edit import METADATA, RUNBOOK
from learner.proposals.merged import Improvement
from learner.runbook_file import parse
from learner.splice import Document

MADE_BY = "revert"


def reverted(improvement: Improvement) -> bytes:
    """The text of the version after `improvement.new` that does what `improvement.parent` did.

    It depends on the two versions alone, so the same regression gives the same bytes whenever it is noticed.

    Raises: `InvalidRunbook` when the parent's text is no runbook to this program.
    """
    new = improvement.new.runbook
    document = Document(improvement.parent.text)
    document.set(("version",), new.version + 1)
    words = RunbookMetadata(
        parent_runbook=new.ref,
        generated_by="learning_engine",
        generation_model=MADE_BY,
        requires_human_review=True,
    ).model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    has = "metadata" in improvement.parent.tree.value
    document.merge(("metadata",), words, METADATA if has else RUNBOOK)
    parse(document.text, f"{new.id}-v{new.version + 1}")
    return document.text
