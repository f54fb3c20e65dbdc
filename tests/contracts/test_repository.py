"""The Repository port: what holds for the fake and for the one made of git."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from autopack.app.ports import Outlook, Refused, Repository
from autopack.core.errors import EnvironmentFault, Fault, OperatorFault, OwnFault
from autopack.core.patch import ABSENT, FILE
from autopack.testing import MemoryRepository, Objects, UserRepository
from tests.repos import bare, commit_all, git, user_repository, write

BRANCH = "autonomous/r1"
SUMMARY = ".autonomous_runs/r1/run_summary.md"
TAG = "autonomous/r1/tier-T1/phase-P1"
FILES = {"README.md": "a project\n", "src/app.py": "one\ntwo\nthree\n", ".gitignore": "*.log\n"}
EDIT = b"""\
diff --git a/src/app.py b/src/app.py
--- a/src/app.py
+++ b/src/app.py
@@ -1,3 +1,3 @@
 one
-two
+2
 three
"""
NEW = b"""\
diff --git a/src/new.py b/src/new.py
new file mode 100644
--- /dev/null
+++ b/src/new.py
@@ -0,0 +1,2 @@
+new
+file
"""
GONE = b"""\
diff --git a/README.md b/README.md
deleted file mode 100644
--- a/README.md
+++ /dev/null
@@ -1 +0,0 @@
-a project
"""


@dataclass
class World:
    """A repository under test, and the user's repository that it can reach."""

    repository: Repository
    address: str
    base: str
    user_refs: Callable[[], dict[str, str]]
    """The user's refs, each with the commit it stands for."""
    user_commit: Callable[[str, Mapping[str, str]], str]
    """A commit of the user with those files on a branch of that name, moved or made."""
    user_move: Callable[[str, str], None]
    """The user moves a branch to a commit, or deletes it when that is empty."""

    def ready(self) -> Repository:
        self.repository.prepare(self.address, "main", self.base, BRANCH)
        return self.repository

    def candidate(self, parent: str, patch: bytes = EDIT, name: str = "P1/1") -> str:
        tree = self.repository.apply(parent, patch)
        assert isinstance(tree, str)
        ref = f"refs/autopack/r1/{name}"
        return self.repository.commit(tree, parent, "work\n", 1_000, ref)

    def landed(self) -> str:
        """A first candidate, landed with its tag."""
        self.ready()
        made = self.candidate(self.base)
        assert self.repository.land(BRANCH, made, self.base, TAG, "green", 2_000) == made
        return made


def memory_world(_tmp_path: Path) -> World:
    user = UserRepository(Objects())
    base = user.commit({name.encode(): text.encode() for name, text in FILES.items()})

    def user_refs() -> dict[str, str]:
        return {
            ref: to if isinstance(to, str) else to.commit for ref, to in sorted(user.refs.items())
        }

    def user_commit(branch: str, files: Mapping[str, str]) -> str:
        made = {name.encode(): text.encode() for name, text in files.items()}
        return user.commit(made, f"refs/heads/{branch}")

    def user_move(branch: str, to: str) -> None:
        user.refs.pop(f"refs/heads/{branch}", None)
        if to:
            user.refs[f"refs/heads/{branch}"] = to

    return World(MemoryRepository({"user": user}), "user", base, user_refs, user_commit, user_move)


def git_world(tmp_path: Path) -> World:
    folder = tmp_path / "user"
    base = user_repository(folder, FILES)

    def user_refs() -> dict[str, str]:
        said = git(folder, "for-each-ref", "--format=%(refname) %(*objectname)%(objectname)")
        pairs = (line.split(" ") for line in said.splitlines())
        return {ref: objects[:40] for ref, objects in pairs}

    def user_commit(branch: str, files: Mapping[str, str]) -> str:
        git(folder, "checkout", "-q", "-B", branch)
        write(folder, files)
        made = commit_all(folder)
        git(folder, "checkout", "-q", "--detach")
        return made

    def user_move(branch: str, to: str) -> None:
        git(folder, *(("branch", "-f", branch, to) if to else ("branch", "-D", branch)))

    return World(bare(tmp_path), str(folder), base, user_refs, user_commit, user_move)


@pytest.fixture(params=[memory_world, git_world], ids=["memory", "git"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    made: World = request.param(tmp_path)
    return made


class TestPrepare:
    def test_starts_the_branch_on_the_base_and_may_be_done_again(self, world: World) -> None:
        world.ready()
        repository = world.ready()
        assert repository.resolve(f"refs/heads/{BRANCH}") == world.base
        assert set(repository.paths(world.base)) == {name.encode() for name in FILES}
        assert repository.read(world.base, "README.md") == b"a project\n"
        assert repository.read(world.base, "nothing") is None

    def test_refuses_a_branch_that_is_elsewhere_and_leaves_it_alone(self, world: World) -> None:
        made = world.landed()
        with pytest.raises(EnvironmentFault, match=f"{BRANCH}.*stands at {made}"):
            world.ready()
        assert world.repository.resolve(f"refs/heads/{BRANCH}") == made

    def test_a_run_s_refs_are_told_and_nobody_else_s(self, world: World) -> None:
        world.ready()
        assert world.repository.refs_of("r1") == {f"refs/heads/{BRANCH}": world.base}
        made = world.landed()
        assert world.repository.refs_of("r1") == {
            f"refs/heads/{BRANCH}": made,
            f"refs/tags/{TAG}": made,
            "refs/autopack/r1/P1/1": made,
        }
        assert not world.repository.refs_of("r")
        assert not world.repository.refs_of("r11")

    def test_a_source_that_is_none_is_refused(self, world: World, tmp_path: Path) -> None:
        with pytest.raises(OperatorFault):
            world.repository.prepare(str(tmp_path / "absent"), "main", world.base, BRANCH)

    def test_a_base_that_is_not_there_is_an_environment_fault(self, world: World) -> None:
        with pytest.raises(EnvironmentFault):
            world.repository.prepare(world.address, "main", "0" * 40, BRANCH)

    def test_takes_what_a_run_of_ours_landed_also_when_nobody_has_got_it(
        self, world: World
    ) -> None:
        made = world.landed()
        assert made not in world.user_refs().values()
        world.repository.prepare(world.address, BRANCH, made, "autonomous/r1-2")
        assert world.repository.resolve("refs/heads/autonomous/r1-2") == made
        world.repository.prepare(world.address, BRANCH, made, "autonomous/r1-2")

    def test_a_branch_that_is_named_like_ours_and_is_the_user_s_is_fetched(
        self, world: World
    ) -> None:
        world.landed()
        theirs = world.user_commit(BRANCH, {"README.md": "theirs\n"})
        world.repository.prepare(world.address, BRANCH, theirs, "autonomous/r2")
        assert world.repository.resolve("refs/heads/autonomous/r2") == theirs
        with pytest.raises(EnvironmentFault):
            world.repository.prepare(world.address, BRANCH, "0" * 40, "autonomous/r3")

    def test_reads_the_users_repository_only(self, world: World) -> None:
        before = world.user_refs()
        world.ready()
        assert world.user_refs() == before


class TestBlobs:
    def test_tells_files_with_their_contents_where_they_fit(self, world: World) -> None:
        repository = world.ready()
        tree = repository.tree(world.base)
        wanted = [b"README.md", b"src/app.py", b"src", b"nothing", b"", b"a\0b", b"README.md"]
        for name in (tree, world.base):
            found = repository.blobs(name, wanted, 1000, 1000)
            assert {path: (blob.size, blob.data) for path, blob in found.items()} == {
                b"README.md": (10, b"a project\n"),
                b"src/app.py": (14, b"one\ntwo\nthree\n"),
            }
        small = repository.blobs(tree, [b"README.md", b"src/app.py"], 12, 1000)
        assert [small[path].data for path in sorted(small)] == [b"a project\n", None]
        assert small[b"src/app.py"].size == 14
        first = repository.blobs(tree, [b"src/app.py", b"README.md"], 1000, 20)
        assert first[b"src/app.py"].data
        assert first[b"README.md"].data is None
        assert not repository.blobs(tree, [], 10, 10)


class TestClones:
    def test_an_untouched_clone_is_the_parents_tree(self, world: World, tmp_path: Path) -> None:
        repository = world.ready()
        clone = repository.clone(world.base, tmp_path / "clone")
        assert clone.commit == world.base
        assert (clone.folder / "src/app.py").read_text() == "one\ntwo\nthree\n"
        assert repository.capture(clone, ()) == repository.tree(world.base)

    def test_what_was_left_is_captured(self, world: World, tmp_path: Path) -> None:
        repository = world.ready()
        clone = repository.clone(world.base, tmp_path / "clone")
        (clone.folder / "README.md").unlink()
        write(clone.folder, {"src/app.py": "one\n2\nthree\n", "src/new.py": "new\nfile\n"})
        tree = repository.capture(clone, ())
        assert isinstance(tree, str)
        changes = {change.path: change for change in repository.diff(world.base, tree).changes}
        assert set(changes) == {b"README.md", b"src/app.py", b"src/new.py"}

    def test_ignored_files_stay_out_unless_forced(self, world: World, tmp_path: Path) -> None:
        repository = world.ready()
        clone = repository.clone(world.base, tmp_path / "clone")
        write(clone.folder, {"noise.log": "n", "wanted.log": "w", ".gitignore": ""})
        tree = repository.capture(clone, ["wanted.log"])
        assert isinstance(tree, str)
        paths = [change.path for change in repository.diff(world.base, tree).changes]
        assert paths == [b".gitignore", b"wanted.log"]

    def test_a_clone_is_set_aside_where_it_is_free(self, world: World, tmp_path: Path) -> None:
        repository, to = world.ready(), tmp_path / "aside" / "r1" / "attempt-1"
        for name in ("attempt-1", "attempt-1-2"):
            clone = repository.clone(world.base, tmp_path / "clone")
            write(clone.folder, {"work": name})
            place = repository.set_aside(clone.folder, to, name.encode())
            assert place == to.with_name(name)
            assert (place / "work").read_text() == name
            assert place.with_name(f"{name}.patch").read_text() == name
            assert not clone.folder.exists()
        repository.discard(tmp_path / "clone")
        assert (to / "work").exists()

    def test_a_clone_that_is_gone_is_refused(self, world: World, tmp_path: Path) -> None:
        repository = world.ready()
        clone = repository.clone(world.base, tmp_path / "clone")
        repository.discard(clone.folder)
        assert not clone.folder.exists()
        assert isinstance(repository.capture(clone, ()), Refused)
        repository.discard(clone.folder)

    def test_a_clone_replaces_what_is_there(self, world: World, tmp_path: Path) -> None:
        repository = world.ready()
        repository.clone(world.base, tmp_path / "clone")
        write(tmp_path / "clone", {"left.txt": "by a killed attempt"})
        clone = repository.clone(world.base, tmp_path / "clone")
        assert not (clone.folder / "left.txt").exists()


class TestTrees:
    def test_a_patch_becomes_a_tree_and_its_diff_is_told(self, world: World) -> None:
        repository = world.ready()
        tree = repository.apply(world.base, EDIT + NEW + GONE)
        assert isinstance(tree, str)
        edited, new, gone = (
            {c.path: c for c in repository.diff(world.base, tree).changes}[path]
            for path in (b"src/app.py", b"src/new.py", b"README.md")
        )
        assert (edited.old_mode, edited.new_mode, edited.lines, edited.size) == (FILE, FILE, 2, 12)
        assert (new.old_mode, new.new_mode, new.lines, new.size) == (ABSENT, FILE, 2, 9)
        assert (gone.old_mode, gone.new_mode, gone.lines, gone.size) == (FILE, ABSENT, 1, 0)

    def test_the_same_patch_is_the_same_tree(self, world: World) -> None:
        repository = world.ready()
        assert repository.apply(world.base, EDIT) == repository.apply(world.base, EDIT)

    @pytest.mark.parametrize(
        "patch",
        [
            EDIT.replace(b"-two", b"-other"),
            EDIT.replace(b"src/app.py", b"src/absent.py"),
            NEW.replace(b"src/new.py", b"README.md"),
            EDIT[:-9],
            b"no patch at all\n",
        ],
        ids=["context", "absent", "present", "cut", "prose"],
    )
    def test_a_patch_that_does_not_apply_is_refused_with_reasons(
        self, world: World, patch: bytes
    ) -> None:
        refused = world.ready().apply(world.base, patch)
        assert isinstance(refused, Refused)
        assert refused.findings

    def test_a_blank_patch_changes_nothing(self, world: World) -> None:
        repository = world.ready()
        assert repository.apply(world.base, b" \n") == repository.tree(world.base)

    def test_a_refused_patch_is_kept_as_a_file(self, world: World) -> None:
        repository = world.ready()
        tree = repository.keep_patch(world.base, b"no patch at all\n")
        made = repository.commit(tree, world.base, "kept\n", 1_000, "refs/autopack/r1/P1/1")
        kept = set(repository.paths(made)) - set(repository.paths(world.base))
        assert [repository.read(made, path.decode()) for path in kept] == [b"no patch at all\n"]

    def test_a_clash_of_names_is_told(self, world: World) -> None:
        repository = world.ready()
        tree = repository.apply(world.base, NEW.replace(b"src/new.py", b"readme.MD"))
        assert isinstance(tree, str)
        assert repository.diff(world.base, tree).clashes == ((b"readme.MD", b"README.md"),)


class TestCommits:
    def test_a_ref_that_exists_is_kept_and_its_commit_told(self, world: World) -> None:
        repository = world.ready()
        first = world.candidate(world.base, EDIT)
        assert world.candidate(world.base, EDIT) == first
        assert world.candidate(world.base, NEW) == first
        assert repository.resolve("refs/autopack/r1/P1/1") == first
        facts = repository.facts(first)
        assert (facts.parent, facts.message.strip()) == (world.base, "work")
        assert facts.tree == repository.tree(first)
        assert repository.facts(world.base).parent == ""
        assert repository.tree(first) == repository.apply(world.base, EDIT)

    def test_the_same_work_under_two_names_is_one_commit(self, world: World) -> None:
        world.ready()
        first = world.candidate(world.base, name="P1/1")
        assert world.candidate(world.base, name="P1/2") == first

    def test_only_refs_of_candidates_are_written(self, world: World) -> None:
        repository = world.ready()
        tree = repository.tree(world.base)
        with pytest.raises(OwnFault):
            repository.commit(tree, world.base, "m\n", 1_000, "refs/heads/main")

    def test_what_is_not_there_is_told(self, world: World) -> None:
        repository = world.ready()
        assert repository.resolve("refs/autopack/r1/P1/9") is None
        with pytest.raises(Fault):
            repository.tree("0" * 40)


class TestReapply:
    def test_changes_of_other_files_are_carried_over(self, world: World) -> None:
        tip = world.landed()
        late = world.candidate(world.base, NEW, "P2/1")
        tree = world.repository.reapply(late, tip)
        assert isinstance(tree, str)
        made = world.repository.commit(tree, tip, "again\n", 1_000, "refs/autopack/r1/P2/1.r1")
        assert world.repository.read(made, "src/app.py") == b"one\n2\nthree\n"
        assert world.repository.read(made, "src/new.py") == b"new\nfile\n"

    def test_two_changes_of_one_place_conflict(self, world: World) -> None:
        tip = world.landed()
        late = world.candidate(world.base, EDIT.replace(b"+2", b"+zwei"), "P2/1")
        refused = world.repository.reapply(late, tip)
        assert isinstance(refused, Refused)
        assert [finding.path for finding in refused.findings] == ["src/app.py"]


class TestLand:
    def test_moves_branch_and_tag_and_may_be_done_again(self, world: World) -> None:
        made = world.landed()
        repository = world.repository
        assert repository.land(BRANCH, made, world.base, TAG, "green", 2_000) == made
        assert repository.resolve(f"refs/heads/{BRANCH}") == made
        assert repository.resolve(f"refs/tags/{TAG}") == made

    def test_done_again_after_the_branch_moved_on_it_has_landed(self, world: World) -> None:
        first = world.landed()
        second = world.candidate(first, NEW, "P2/1")
        other = TAG.replace("P1", "P2")
        assert world.repository.land(BRANCH, second, first, other, "green", 3_000) == second
        assert world.repository.land(BRANCH, first, world.base, TAG, "green", 2_000) == first
        assert world.repository.resolve(f"refs/heads/{BRANCH}") == second

    def test_a_branch_that_stands_elsewhere_is_told_and_left(self, world: World) -> None:
        first = world.landed()
        late = world.candidate(world.base, NEW, "P2/1")
        other = TAG.replace("P1", "P2")
        assert world.repository.land(BRANCH, late, world.base, other, "green", 3_000) == first
        assert world.repository.resolve(f"refs/tags/{other}") is None

    def test_only_a_descendant_lands(self, world: World) -> None:
        first = world.landed()
        late = world.candidate(world.base, NEW, "P2/1")
        with pytest.raises(OwnFault):
            world.repository.land(BRANCH, late, first, TAG.replace("P1", "P2"), "green", 3_000)

    def test_a_tag_is_never_moved(self, world: World) -> None:
        first = world.landed()
        second = world.candidate(first, NEW, "P2/1")
        with pytest.raises(EnvironmentFault):
            world.repository.land(BRANCH, second, first, TAG, "green", 3_000)
        assert world.repository.resolve(f"refs/tags/{TAG}") == first


class TestDeliver:
    def test_branch_and_tags_arrive_and_nothing_else_moves(self, world: World) -> None:
        made = world.landed()
        before = world.user_refs()
        for _ in range(2):
            assert world.repository.deliver(world.address, "r1", made, "") == ""
        theirs = {f"refs/heads/{BRANCH}": made, f"refs/tags/{TAG}": made}
        assert world.user_refs() == {**before, **theirs}

    def test_a_second_delivery_moves_what_the_first_left(self, world: World) -> None:
        first = world.landed()
        assert world.repository.deliver(world.address, "r1", first, "") == ""
        second = world.candidate(first, NEW, "P2/1")
        tag = TAG.replace("P1", "P2")
        world.repository.land(BRANCH, second, first, tag, "green", 3_000)
        assert world.repository.deliver(world.address, "r1", second, first) == ""
        assert world.user_refs()[f"refs/heads/{BRANCH}"] == second
        assert world.user_refs()[f"refs/tags/{tag}"] == second

    def test_a_delivery_whose_answer_was_lost_is_overtaken(self, world: World) -> None:
        first = world.landed()
        assert world.repository.deliver(world.address, "r1", first, "") == ""
        second = world.candidate(first, NEW, "P2/1")
        tag = TAG.replace("P1", "P2")
        world.repository.land(BRANCH, second, first, tag, "green", 3_000)
        assert world.repository.deliver(world.address, "r1", second, "") == ""
        assert world.user_refs()[f"refs/heads/{BRANCH}"] == second

    def test_only_tags_of_what_the_tip_contains_arrive(self, world: World) -> None:
        first = world.landed()
        second = world.candidate(first, NEW, "P2/1")
        tag = TAG.replace("P1", "P2")
        world.repository.land(BRANCH, second, first, tag, "green", 3_000)
        assert world.repository.deliver(world.address, "r1", first, "") == ""
        assert f"refs/tags/{tag}" not in world.user_refs()

    def test_a_branch_that_somebody_else_made_is_left_and_told(self, world: World) -> None:
        made = world.landed()
        theirs = world.user_commit(BRANCH, {"other.txt": "theirs\n"})
        refusal = world.repository.deliver(world.address, "r1", made, "")
        assert BRANCH in refusal
        assert world.user_refs()[f"refs/heads/{BRANCH}"] == theirs

    def test_a_branch_that_somebody_else_moved_is_left_and_told(self, world: World) -> None:
        first = world.landed()
        assert world.repository.deliver(world.address, "r1", first, "") == ""
        second = world.candidate(first, NEW, "P2/1")
        tag = TAG.replace("P1", "P2")
        world.repository.land(BRANCH, second, first, tag, "green", 3_000)
        theirs = world.user_commit(BRANCH, {"other.txt": "theirs\n"})
        assert world.repository.deliver(world.address, "r1", second, first)
        assert world.user_refs()[f"refs/heads/{BRANCH}"] == theirs
        assert f"refs/tags/{tag}" not in world.user_refs()

    @pytest.mark.parametrize("stands", ["gone", "behind"])
    def test_asked_for_it_brings_back_what_was_deleted_or_undone(
        self, world: World, stands: str
    ) -> None:
        made = world.landed()
        assert world.repository.deliver(world.address, "r1", made, "") == ""
        world.user_move(BRANCH, "" if stands == "gone" else world.base)
        refused = world.repository.deliver(world.address, "r1", made, made)
        assert BRANCH in refused, "nobody asked: it stays as its owner left it"
        assert world.repository.deliver(world.address, "r1", made, made, asked=True) == ""
        assert world.user_refs()[f"refs/heads/{BRANCH}"] == made

    def test_asked_for_it_still_leaves_what_is_not_its_own(self, world: World) -> None:
        made = world.landed()
        world.user_move(BRANCH, world.base)
        assert world.repository.deliver(world.address, "r1", made, "", asked=True)
        assert world.user_refs()[f"refs/heads/{BRANCH}"] == world.base
        theirs = world.user_commit(BRANCH, {"other.txt": "theirs\n"})
        assert world.repository.deliver(world.address, "r1", made, made, asked=True)
        assert world.user_refs()[f"refs/heads/{BRANCH}"] == theirs

    def test_a_target_that_cannot_be_reached_is_told(self, world: World, tmp_path: Path) -> None:
        made = world.landed()
        assert world.repository.deliver(str(tmp_path / "absent"), "r1", made, "")

    def test_one_that_is_ahead_by_its_own_summaries_is_delivered(self, world: World) -> None:
        """The answer of a promotion was lost, and somebody asks for the delivery before it."""
        made = world.landed()
        repository = world.repository
        assert repository.deliver(world.address, "r1", made, "") == ""
        tree = repository.with_files(made, {SUMMARY: b"done\n"})
        assert isinstance(tree, str)
        sealed = repository.commit(tree, made, "summaries", 9, "refs/autopack/_promotion/r1/x")
        tag = "autonomous/r1/promotion"
        assert repository.land(BRANCH, sealed, made, tag, "promoted", 9) == sealed
        assert repository.deliver(world.address, "r1", sealed, made) == ""
        assert repository.deliver(world.address, "r1", made, made, asked=True) == ""
        assert world.user_refs()[f"refs/heads/{BRANCH}"] == sealed
        assert world.user_refs()[f"refs/tags/{tag}"] == sealed


class TestPromotion:
    def test_files_are_put_on_top_and_nothing_else_changes(self, world: World) -> None:
        made = world.landed()
        files = {SUMMARY: b"one\n", ".autonomous_runs/r1/issues/i.json": b"{}\r\n"}
        tree = world.repository.with_files(made, files)
        assert isinstance(tree, str)
        assert tree == world.repository.with_files(made, files), "the same bytes, the same tree"
        changes = world.repository.diff(made, tree).changes
        assert sorted(change.path.decode() for change in changes) == sorted(files)
        ref = "refs/autopack/_promotion/r1/x"
        commit = world.repository.commit(tree, made, "summaries", 9, ref)
        assert world.repository.read(commit, ".autonomous_runs/r1/issues/i.json") == b"{}\r\n"

    @pytest.mark.parametrize("name", [".autonomous_runs", ".autonomous_runs/r1/run_summary.md/x"])
    def test_what_is_in_their_way_is_told_and_stays(self, world: World, name: str) -> None:
        base = world.user_commit("main", {**FILES, name: "mine\n"})
        world.repository.prepare(world.address, "main", base, "autonomous/r2")
        refused = world.repository.with_files(base, {SUMMARY: b"one\n"})
        assert isinstance(refused, Refused)
        assert refused.findings[0].path == name

    def test_how_a_base_that_moved_would_take_the_work(self, world: World) -> None:
        made, repository = world.landed(), world.repository

        def outlook(commit: str) -> Outlook:
            return repository.outlook(world.address, "main", commit, made)

        assert outlook(world.base) is Outlook.UNMOVED
        assert outlook(world.user_commit("main", {**FILES, "b": "b\n"})) is Outlook.CLEAN
        theirs = {**FILES, "src/app.py": "one\nzwei\nthree\n"}
        assert outlook(world.user_commit("main", theirs)) is Outlook.CONFLICTS
        assert outlook("1" * 40) is Outlook.UNKNOWN
