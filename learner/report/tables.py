"""Metrics as a person reads them."""

from __future__ import annotations

from learner.report.metrics import Metrics, VersionMetrics


def bar(share: float | None, width: int = 10) -> str:
    """A share as a bar of `width` cells."""
    if share is None:
        return "·" * width
    full = round(share * width)
    return "█" * full + "░" * (width - full)


def rate(version: VersionMetrics) -> str:
    """`67% (30–90%)`: verified success with its 95% interval; a dash when nothing was judged."""
    if version.success_rate is None or version.interval is None:
        return "–"
    return f"{version.success_rate:.0%} ({version.interval.low:.0%}–{version.interval.high:.0%})"


def version_rows(metrics: Metrics) -> list[tuple[str, ...]]:
    """(version, verified success, verified / failed / unverified, mean duration, change in points against the version before)."""
    rates = {version.ref: version.success_rate for version in metrics.versions}
    rows: list[tuple[str, ...]] = []
    for version in metrics.versions:
        runbook, _, number = version.ref.rpartition("-v")
        before = rates.get(f"{runbook}-v{int(number) - 1}")
        change = ""
        if before is not None and version.success_rate is not None:
            change = f"{(version.success_rate - before) * 100:+.0f}"
        rows.append(
            (
                version.ref,
                f"{bar(version.success_rate)} {rate(version)}",
                f"{version.verified_successes} / {version.failures} / {version.unverified}",
                f"{version.mean_seconds:.1f} s" if version.mean_seconds is not None else "–",
                change,
            )
        )
    return rows


COLUMNS = ("runbook", "verified success (95%)", "✓ / ✗ / ?", "mean", "change")
