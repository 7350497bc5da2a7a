"""The proposer that asks a model at an OpenAI-compatible endpoint. Nothing that comes back is trusted."""

from __future__ import annotations

from learner.model_client import ModelClient
from learner.models import RunbookEdit, RunbookMetadata, Usage
from learner.proposals import wire
from learner.proposals.brief import Brief, Draft, NoProposal, failing, fingerprint
from learner.proposals.edit import EditError, apply
from learner.proposals.patterns.situation import PERMISSION
from learner.proposals.prompt import prompt

LONGEST_REASON = 300


class ModelProposer:
    """Asks the large model for an edit, and again with what was wrong, up to `repair_rounds` times."""

    def __init__(self, client: ModelClient) -> None:
        self.client = client

    @property
    def name(self) -> str:
        return "openai"

    def propose(self, brief: Brief) -> Draft | NoProposal:
        """A draft that fits the parent and cites what exists, or the reason why there is none.

        Audits and replay are not asked here: what they say comes back in `brief.refused`.
        """
        if not brief.verdict.failure_type.improvable:
            return NoProposal(f"not_improvable: {brief.verdict.failure_type.value} is not repaired by a runbook")
        places = [place for result in brief.failures if (place := failing(result))]
        if any(PERMISSION.search(place.text) for place in places):
            return NoProposal("permission_denied: rights are given by people")
        citations = frozenset(citation for result in brief.failures for citation in result.citations())
        usage = Usage()
        problems: list[str] = []
        for _ in range(1 + self.client.settings.repair_rounds):
            question = prompt(brief, self.client.boundary(), problems)
            answer = self.client.ask(question, wire.SCHEMA, "edit", "large")
            usage += answer.usage
            if answer.kind in ("refused", "unreachable", "budget"):
                return NoProposal(f"model_{answer.kind}: {answer.reason[:LONGEST_REASON]}", usage)
            if answer.value is None:
                problems.append(answer.reason)
                continue
            if answer.value["decision"] == "no_proposal":
                said = " ".join(answer.value["reason"].split())[:LONGEST_REASON] or "it gave no reason"
                return NoProposal(f"model_declined: {said}", usage)
            try:
                edit = wire.edit_of(answer.value, citations)
                self._fits(edit, brief)
            except (wire.WireError, EditError) as e:
                problems.append(str(e))
                continue
            return Draft(edit, answer.model, usage, _notes(answer.model, brief))
        return NoProposal(f"model_unfit: {problems[-1][:LONGEST_REASON]}", usage)

    @staticmethod
    def _fits(edit: RunbookEdit, brief: Brief) -> None:
        """Raises: `EditError` when the edit does not apply or was refused before."""
        apply(brief.parent, edit, RunbookMetadata())
        if fingerprint(brief.parent, edit) in brief.rejected_fingerprints:
            raise EditError("this very edit was refused before", "find another repair, or say no_proposal")


def _notes(model: str, brief: Brief) -> tuple[str, ...]:
    """What a reviewer should know of how it was made."""
    shown = [
        f"it was shown how {one.ref} was repaired, since {one.near}: {one.summary} ({one.figures})"
        for one in brief.siblings
    ]
    return f"made by the model {model}", *shown
