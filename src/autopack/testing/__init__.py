"""Fakes of the ports, for our tests and for those of plug-ins. Nothing here is for production."""

from autopack.testing.agents import FakeAuditor, FakeBuilder, FakeVerifier, Work
from autopack.testing.archive import MemoryArchive
from autopack.testing.branches import MemoryBranches
from autopack.testing.checks import FakeCheck
from autopack.testing.clock import FakeClock
from autopack.testing.disk import FakeDisk
from autopack.testing.forge import MemoryForge, MemoryTester
from autopack.testing.history import MemoryHistory
from autopack.testing.objects import Objects
from autopack.testing.repository import MemoryRepository, UserRepository
from autopack.testing.starts import MemoryStarts
from autopack.testing.store import MemoryStore, MemoryTransaction

__all__ = [
    "FakeAuditor",
    "FakeBuilder",
    "FakeCheck",
    "FakeClock",
    "FakeDisk",
    "FakeVerifier",
    "MemoryArchive",
    "MemoryBranches",
    "MemoryForge",
    "MemoryHistory",
    "MemoryRepository",
    "MemoryStarts",
    "MemoryStore",
    "MemoryTester",
    "MemoryTransaction",
    "Objects",
    "UserRepository",
    "Work",
]
