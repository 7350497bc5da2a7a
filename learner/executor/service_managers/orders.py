"""Orders that a service manager's program takes by their own names."""

from __future__ import annotations

from abc import ABC, abstractmethod

from learner.actions.host import Completed


class Orders(ABC):
    """`start`, `stop`, `restart` and `reload`, each one word to the manager's program."""

    def start(self, name: str, timeout_seconds: float) -> Completed:
        return self.order("start", name, timeout_seconds)

    def stop(self, name: str, timeout_seconds: float) -> Completed:
        return self.order("stop", name, timeout_seconds)

    def restart(self, name: str, timeout_seconds: float) -> Completed:
        return self.order("restart", name, timeout_seconds)

    def reload(self, name: str, timeout_seconds: float) -> Completed:
        return self.order("reload", name, timeout_seconds)

    @abstractmethod
    def order(self, verb: str, name: str, timeout_seconds: float) -> Completed:
        """Give one order and wait until it is carried out."""
