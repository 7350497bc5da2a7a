"""A runbook's flow as a Mermaid chart, with what a new version changes marked.

Source: Mermaid's documentation, "Flowcharts - Basic Syntax".
"""

from __future__ import annotations

from difflib import SequenceMatcher

from learner.forge.escape import label
from learner.models.runbook import Goto, Runbook, Step


def chart(old: Runbook, new: Runbook) -> str:
    """Mermaid source: the steps of `new` in order, those that were added, changed or moved coloured, then its verification."""
    before, moved = {step.id: step for step in old.all_steps}, _moved(old, new)
    checks = {claim.id: claim for claim in old.verification}
    lines = ["flowchart TD", f'  start(["{label(new.ref)}"])']
    last = "start"
    for step in new.steps:
        node = f"s_{step.id}"
        lines.append(
            f'  {node}["{label(f"{step.id}: {step.action}")}"]{_mark(before.get(step.id), step, step.id in moved)}'
        )
        lines.append(f'  {last} -->|"{label("if " + step.when, 40)}"| {node}' if step.when else f"  {last} --> {node}")
        if isinstance(step.on_failure, Goto):
            lines.append(f"  {node} -.->|fails| s_{step.on_failure.goto}")
        elif step.on_failure == "rollback":
            lines.append(f"  {node} -.->|fails| rollback")
        last = node
    for claim in new.verification:
        node = f"v_{claim.id}"
        mark = ":::added" if claim.id not in checks else ":::changed" if checks[claim.id] != claim else ""
        lines.append(f'  {node}{{"{label(f"{claim.check}?")}"}}{mark}')
        lines.append(f"  {last} --> {node}")
        last = node
    lines.append('  done(["verified"])')
    lines.append(f"  {last} --> done")
    if new.rollback and (new.rollback != old.rollback or any(step.on_failure == "rollback" for step in new.steps)):
        names = ", ".join(step.id for step in new.rollback)
        lines.append(
            f'  rollback["{label("rollback: " + names)}"]' + ("" if new.rollback == old.rollback else ":::changed")
        )
    lines += [
        "  classDef added fill:#dafbe1,stroke:#1a7f37,color:#0a3015,stroke-width:2px",
        "  classDef changed fill:#fff8c5,stroke:#9a6700,color:#3b2300,stroke-width:2px",
    ]
    return "\n".join(lines)


def _mark(old: Step | None, new: Step, moved: bool) -> str:
    return ":::added" if old is None else ":::changed" if moved or old != new else ""


def _moved(old: Runbook, new: Runbook) -> set[str]:
    """The fewest steps of both that explain why the others stand in another order."""
    was, now = [step.id for step in old.steps], [step.id for step in new.steps]
    blocks = SequenceMatcher(None, was, now, autojunk=False).get_matching_blocks()
    kept = {id for block in blocks for id in now[block.b : block.b + block.size]}
    return {id for id in now if id in was} - kept
