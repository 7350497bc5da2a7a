"""Repair patterns and the proposer that needs no model."""

from __future__ import annotations

from learner.proposals.patterns.pattern import Pattern, builtin
from learner.proposals.patterns.pattern import load_patterns as load
from learner.proposals.patterns.proposer import PatternProposer

__all__ = ["Pattern", "PatternProposer", "builtin", "load"]
