"""`python -m benchmarks.repair`: how right the learner's verdicts and proposals are, over failures with known causes.

With --hostile it is the whole model path instead, against endpoints on loopback that answer well and badly.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.repair import hostile
from benchmarks.repair.cases import SETS, Case, all_cases, cases_in
from benchmarks.repair.endpoint import BEHAVIOURS
from benchmarks.repair.measure import Measured, Scored, measure
from learner.errors import LearnerError
from learner.model_client import ModelClient
from learner.proposals.brief import Proposer
from learner.proposals.openai import ModelProposer
from learner.proposals.patterns import PatternProposer, builtin
from learner.settings import ModelSettings, RepositorySettings


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 1 when a goal was missed."""
    parser = argparse.ArgumentParser(prog="benchmarks.repair", description=__doc__)
    parser.add_argument("--proposer", choices=["patterns", "openai"], default="patterns")
    parser.add_argument("--base-url", help="an OpenAI-compatible endpoint; its key in LEARNER_MODEL_KEY")
    parser.add_argument("--small", help="the model that classifies")
    parser.add_argument("--large", help="the model that writes edits")
    parser.add_argument("--no-fallback", action="store_true", help="the model alone: patterns do not stand in for it")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--set",
        choices=[*SETS, "all"],
        default="all",
        help="first: what the learner was built against; the others: written without a look at how it decides",
    )
    which.add_argument(
        "--cases", type=Path, metavar="DIR", help="the cases of a folder elsewhere, in place of the bench's own sets"
    )
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--every", type=int, default=1, help="take each n-th case alone")
    parser.add_argument("--hostile", action="store_true", help="endpoints that answer well and badly")
    parser.add_argument(
        "--endpoint", action="append", help="with --hostile: only the endpoint of this name, besides the good one"
    )
    parser.add_argument("--failures", action="store_true", help="list what was missed, and why")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    chosen = parser.parse_args(arguments)
    try:
        known = cases_in(chosen.cases, chosen.cases.name) if chosen.cases else all_cases(chosen.set)
        cases = [case for case in known if chosen.only in case.name][:: chosen.every]
        patterns: tuple[Proposer, ...] = (PatternProposer(builtin()),)
        if chosen.hostile:
            if unknown := [name for name in chosen.endpoint or () if name not in BEHAVIOURS]:
                parser.error(f"no endpoint is called {unknown[0]}; there are: {', '.join(BEHAVIOURS)}")
            return _hostile(cases, patterns, chosen.endpoint, as_json=chosen.json, failures=chosen.failures)
        if chosen.proposer == "patterns":
            of = partial(measure, proposers=patterns)
        else:
            model = ModelSettings(base_url=chosen.base_url, max_calls=10**6, max_tokens=10**9, max_cost_usd=1e6)
            model = model.model_copy(
                update={size: name for size in ("small", "large") if (name := getattr(chosen, size))}
            )
            client = ModelClient(model, os.environ.get(model.key_env))
            proposers = (ModelProposer(client), *(() if chosen.no_fallback else patterns))
            of = partial(measure, proposers=proposers, client=client, settings=RepositorySettings(model=model))
        names = dict.fromkeys(case.set for case in cases)
        found = {name: of([case for case in cases if case.set == name]) for name in names}
    except LearnerError as e:
        print(f"{e.message}: {e.hint}", file=sys.stderr)
        return 1
    return _figures(found, as_json=chosen.json, failures=chosen.failures)


def _figures(found: Mapping[str, Measured], *, as_json: bool, failures: bool) -> int:
    whole = sum(found.values(), Measured())
    shown = {**found, "all": whole} if len(found) > 1 else found or {"all": whole}
    missed = any(met is False for *_, met in _lines(whole))
    if as_json:
        document = _document(whole) | {"misses": _misses(whole)}
        if len(found) > 1:
            document["sets"] = {name: _document(of) for name, of in found.items()}
        print(json.dumps(document, indent=1))
    else:
        columns = [_lines(of) for of in shown.values()]
        rows = [("what", *(shown if len(shown) > 1 else ["measured"]), "goal", "")]
        for lines in zip(*columns, strict=True):
            what, _, goal, met = lines[-1]
            rows.append((what, *(line[1] for line in lines), goal, {True: "met", False: "MISSED", None: ""}[met]))
        _table(rows)
        if failures:
            _failures(whole.scored)
    return missed


def _lines(found: Measured) -> list[tuple[str, str, str, bool | None]]:
    """What was measured: its name, its value, the goal, and whether that is met."""
    per_thousand = 1000 / max(1, found.failed_runs)
    usage = found.usage
    return [
        ("causes (cases)", f"{len(found.scored)} ({len({one.case.name for one in found.scored})})", "", None),
        ("failed runs", str(found.failed_runs), "", None),
        ("classification: accuracy", f"{found.accuracy:.1%}", "", None),
        ("classification: macro-F1", f"{found.macro_f1:.3f}", ">= 0.95", found.macro_f1 >= 0.95),
        ("causes seen as one cluster", f"{found.whole:.1%}", "", None),
        ("false proposals", str(len(found.false)), "0", not found.false),
        ("coverage of the improvable", f"{found.coverage:.1%} of {len(found.improvable)}", ">= 80%", found.coverage >= 0.8),
        ("proposed that are good fixes", f"{found.good:.1%} of {len(found.proposed)}", ">= 90%", found.good >= 0.9),
        ("proposed that replay calls fixed or plausible", f"{found.replayed:.1%}", "", None),
        ("proposed by the model", str(sum(one.by_model for one in found.scored)), "", None),
        ("model calls per 1,000 failed runs", f"{usage.model_calls * per_thousand:.0f}", "", None),
        ("tokens in / out per 1,000 failed runs",
         f"{usage.input_tokens * per_thousand:.0f} / {usage.output_tokens * per_thousand:.0f}", "", None),
        ("seconds", f"{found.seconds:.1f}", "", None),
    ]  # fmt: skip


def _document(found: Measured) -> dict[str, Any]:
    return {
        "accuracy": found.accuracy, "macro_f1": found.macro_f1, "false_proposals": len(found.false),
        "coverage": found.coverage, "good": found.good, "replayed": found.replayed, "whole": found.whole,
        "failed_runs": found.failed_runs, "usage": found.usage.model_dump(), "seconds": round(found.seconds, 2),
    }  # fmt: skip


def _misses(found: Measured) -> list[dict[str, str]]:
    return [
        {"case": one.case.name, "set": one.case.set, "missed": said} for one in found.scored if (said := _missed(one))
    ]


def _hostile(
    cases: Sequence[Case],
    patterns: Sequence[Proposer],
    names: Sequence[str] | None,
    *,
    as_json: bool,
    failures: bool,
) -> int:
    alone = len(measure(cases, patterns).proposed)
    played = hostile.plays(cases, patterns, names)
    best = played[0]
    through = sum(one.by_model for one in best.measured.improvable)
    rows = [
        (
            one.name,
            str(one.by_model),
            str(one.by_patterns),
            str(one.bad),
            str(one.calls),
            f"{one.waited_seconds:.0f}",
            f"{one.seconds:.1f}",
        )
        for one in played
    ]
    if as_json:
        keys = ("behaviour", "by_model", "by_patterns", "bad", "calls", "would_wait_seconds", "seconds")
        print(json.dumps([dict(zip(keys, row, strict=True)) for row in rows], indent=1))
    else:
        print(f"{len(cases)} cases, {len(best.measured.improvable)} improvable; patterns alone propose {alone}\n")
        _table([("endpoint", "by the model", "by patterns", "bad", "calls", "would wait s", "seconds"), *rows])
        print(f"\nanswers well: {through} of {len(best.measured.improvable)} improvable got through")
        if failures:
            for one in played:
                faulty = [s for s in one.measured.scored if s.false or (s.by_model and s.fault)]
                if one is best:
                    faulty = [s for s in one.measured.scored if _missed(s) or (s.cause.propose and not s.by_model)]
                if faulty:
                    print(f"\n== {one.name}")
                    _failures(faulty)
    return any(one.bad for one in played) or through < len(best.measured.improvable)


def _missed(one: Scored) -> str:
    """What is wrong with what became of a cause; empty when nothing is."""
    said = []
    if not one.right and (one.cause.types != ("none",) or one.decided):
        said.append(f"judged {one.predicted}, not {' or '.join(one.cause.types)}")
    if one.false:
        said.append("FALSE PROPOSAL")
    if one.cause.propose and not one.proposal:
        said.append("; ".join(f"{d.outcome}: {d.reason[:160]}" for d in one.decided) or "no cluster")
    if one.fault:
        said.append(f"not a good fix: {one.fault[:300]}")
    if one.proposal and not one.replayed and one.proposal.replay:
        said.append(f"replay says {one.proposal.replay.verdict}: {one.proposal.replay.summary[:160]}")
    return "; ".join(said)


def _failures(scored: Sequence[Scored]) -> None:
    for one in scored:
        if said := _missed(one):
            print(f"\n{one.case.name} ({one.case.set}): {said}")
        elif len(one.decided) > 1:
            print(f"\n{one.case.name}: seen as {len(one.decided)} clusters")
        else:
            continue
        for decision in one.decided[:2]:
            verdict = decision.verdict
            print(f"  {verdict.decided_by} ({verdict.confidence:.0%}): {verdict.reasoning[:240]}")
            if decision.proposal:
                print(f"  {decision.proposal.proposer}:")
                for operation in decision.proposal.edit.operations:
                    print(f"    {operation.model_dump_json(exclude_none=True, exclude={'because'})}")


def _table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
