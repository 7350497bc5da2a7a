"""The one door to a language model: any endpoint that speaks OpenAI's chat completions."""

from __future__ import annotations

from learner.model_client.client import Answer, ModelClient, Prompt, clean, fenced, misfit, parsed

__all__ = ["Answer", "ModelClient", "Prompt", "clean", "fenced", "misfit", "parsed"]
