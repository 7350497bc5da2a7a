"""What was touched last on the forge: one small question, asked without PyGithub, which takes 190 ms to load."""

from __future__ import annotations

import json
import urllib.request
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

_SETTLED_SECONDS = 2
"""The forge tells times in whole seconds: only when one is over can nothing more happen within it."""


def newest(api_url: str, repository: str, token: str, timeout_seconds: float = 10.0) -> str | None:
    """Numbers and times of the five issues and pull requests that were touched last; equal means nothing was touched.

    None when the forge gives no answer, or when something was touched so lately that more could follow unseen.
    Words, reviews, labels, commits and decisions touch a pull request.

    Source: GitHub REST reference, "List repository issues": pull requests are among them, `sort=updated`.
    """
    url = f"{api_url}/repos/{repository}/issues?state=all&sort=updated&direction=desc&per_page=5"
    request = urllib.request.Request(url, headers={"Accept": "application/vnd.github+json"})  # noqa: S310 from the settings
    request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds) as answer:  # noqa: S310
            now = parsedate_to_datetime(answer.headers["Date"])
            found = [(int(one["number"]), str(one["updated_at"])) for one in json.load(answer)]
        touched = max((datetime.fromisoformat(when) for _, when in found), default=None)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # whoever asks takes the long way, where errors are told
    if touched and now - touched < timedelta(seconds=_SETTLED_SECONDS):
        return None
    return json.dumps(found)
