"""A stand-in for GitHub on loopback: its REST operations and Git over HTTP for one bare repository, and a review page.

    with serve(Forge(Path("runbooks.git"), [User("ada", "a-long-token", "admin")])) as running:
        github = Github(base_url=running.api_url, auth=Auth.Token("a-long-token"))

It is for a first try, for demos, for air-gapped trials and for tests. It serves this host alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from learner.local_forge.users import User

if TYPE_CHECKING:
    from learner.local_forge.forge import Forge
    from learner.local_forge.server import RunningForge, serve

__all__ = ["Forge", "RunningForge", "User", "serve"]


def __getattr__(name: str) -> Any:
    """Flask and its kin are loaded when a forge is really wanted; they are an extra (`runbook-learner[local]`)."""
    if name == "Forge":
        from learner.local_forge.forge import Forge

        return Forge
    if name in ("RunningForge", "serve"):
        from learner.local_forge import server

        return getattr(server, name)
    raise AttributeError(name)
