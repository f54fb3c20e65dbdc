"""MemoryHistory: the History port over the commits of a fake repository."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from autopack.core.errors import OperatorFault

if TYPE_CHECKING:
    from autopack.app.ports import Clone
    from autopack.testing.objects import Objects, Tree


@dataclass(frozen=True)
class MemoryHistory:
    """Commits by id; files of lines that all end, as the fake repository's patches need."""

    objects: Objects

    def patch(self, commit: str) -> bytes:
        """What a commit changed against its parent: each changed file as a whole."""
        old, new = self._sides(commit)
        changed = sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))
        return b"".join(_part(path, old.get(path), new.get(path)) for path in changed)

    def lay_out(self, commit: str, clone: Clone) -> None:
        """Make the files of a clone those of the commit."""
        old, new = self._sides(commit)
        for path in old.keys() - new.keys():
            (clone.folder / path.decode()).unlink()
        for path, content in new.items():
            file = clone.folder / path.decode()
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    def _sides(self, commit: str) -> tuple[Tree, Tree]:
        if commit not in self.objects.commits:
            raise OperatorFault(f"there is no commit {commit!r}", "name one that is there")
        parent = self.objects.commits[commit].parent
        return self.objects.files(parent) if parent else {}, self.objects.files(commit)


def _part(path: bytes, old: bytes | None, new: bytes | None) -> bytes:
    before, after = ((side or b"").splitlines(keepends=True) for side in (old, new))
    kind = b"new file mode 100644\n" if old is None else b""
    kind = b"deleted file mode 100644\n" if new is None else kind
    left = b"/dev/null" if old is None else b"a/" + path
    right = b"/dev/null" if new is None else b"b/" + path
    spans = (b"%d,%d" % (min(1, len(lines)), len(lines)) for lines in (before, after))
    hunk = b"@@ -%s +%s @@\n" % tuple(spans)
    lines = (*(b"-" + line for line in before), *(b"+" + line for line in after))
    head = b"diff --git a/%s b/%s\n%s--- %s\n+++ %s\n" % (path, path, kind, left, right)
    return head + hunk + b"".join(lines)
