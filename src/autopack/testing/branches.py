"""MemoryBranches: the Branches port over the users that a MemoryRepository can reach."""

from __future__ import annotations

from autopack.app.archive import UNDONE
from autopack.app.undo import Place, Undone
from autopack.core.errors import OperatorFault
from autopack.testing.objects import MemoryTag
from autopack.testing.repository import MemoryRepository, UserRepository


class MemoryBranches:
    """A run's branch in users' repositories; `trees` has the work trees of branches."""

    def __init__(self, repository: MemoryRepository) -> None:
        self._repository = repository
        self._moves: list[tuple[str, Undone]] = []
        self.trees: dict[str, str] = {}

    def stands(self, source: str, branch: str) -> str:
        """The commit that the branch stands at; empty when there is none."""
        at = self._user(source).refs.get(f"refs/heads/{branch}", "")
        return at.commit if isinstance(at, MemoryTag) else at

    def checked_out(self, source: str, branch: str) -> str:
        """The work tree that has it checked out; empty when none has."""
        self._user(source)
        return self.trees.get(branch, "")

    def moves(self, run_id: str) -> list[Undone]:
        """The records of a run's moves, oldest first."""
        return [move for run, move in self._moves if run == run_id]

    def move(self, source: str, run_id: str, left: Place, to: Place, at: int, by: str) -> str:
        """Record the move and make it when the branch stands where it was left."""
        user, branch = self._user(source), f"autonomous/{run_id}"
        if user.refusal:
            return user.refusal
        if self.stands(source, branch) != left.commit:
            return f"{branch} moved meanwhile (stale info)"
        if branch in self.trees:
            return f"{branch} is checked out"
        number = len(self.moves(run_id)) + 1
        self._moves.append((run_id, Undone(f"{UNDONE}/{run_id}/{number}", left, to, at, by)))
        user.refs[f"refs/heads/{branch}"] = to.commit
        return ""

    def _user(self, source: str) -> UserRepository:
        if source not in self._repository.users:
            raise OperatorFault(f"{source} is no folder", "name the folder of a git repository")
        return self._repository.users[source]
