"""Fakes of the ports, for our tests and for those of plug-ins. Nothing here is for production."""

from autopack.testing.engine import MemoryEngine
from autopack.testing.store import MemoryStore, MemoryTransaction

__all__ = ["MemoryEngine", "MemoryStore", "MemoryTransaction"]
