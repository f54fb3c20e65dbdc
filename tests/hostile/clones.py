"""The clone way: what an agent may do to its clone, and what is captured of it."""

from __future__ import annotations

import os
import shutil
import socket
import time
from pathlib import Path

from tests.hostile.ground import ACCEPT, ASK, REFUSE, Told
from tests.hostile.place import Name, Place
from tests.hostile.shapes import Act, CloneShape
from tests.repos import git


def fine(name: str, what: str, act: Act, **more: str) -> CloneShape:
    return CloneShape(name, what, ACCEPT, (), act, **more)


def ask(name: str, what: str, act: Act, *told: Told, **more: str) -> CloneShape:
    return CloneShape(name, what, ASK, told, act, **more)


def refuse(name: str, what: str, act: Act, *told: Told, **more: str) -> CloneShape:
    return CloneShape(name, what, REFUSE, told, act, **more)


def new(name: str, what: str, path: Name, *told: Told) -> CloneShape:
    """A new file whose name is the matter."""
    return refuse(f"name-{name}", f"a new file {what}", lambda p: p.write(path), *told)


def config(key: str, value: str = "") -> CloneShape:
    what = f"`{key}` in the clone's configuration"
    return fine(f"config-{key.lower()}", what, lambda p: p.config(key, value))


def same_second(place: Place) -> None:
    path = place.at("README.md")
    before = path.stat()
    path.write_bytes(b"b project\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def far_times(place: Place) -> None:
    for name, seconds in (("new.py", 0), ("README.md", 4_100_000_000), ("src/app.py", -1)):
        os.utime(place.write(name, b"y\n"), (seconds, seconds))


def bits(place: Place) -> None:
    place.git("update-index", "--skip-worktree", "README.md")
    place.git("update-index", "--assume-unchanged", "src/app.py")
    place.git("update-index", "--force-remove", "run.sh")
    for name in ("README.md", "src/app.py", "run.sh"):
        place.at(name).write_bytes(b"y\n")


def sparse(place: Place) -> None:
    place.git("sparse-checkout", "set", "--cone", "--sparse-index", "nothing")
    place.edit()


def filters(place: Place) -> None:
    for key in ("filter.evil.clean", "filter.evil.smudge", "filter.evil.process",
                "diff.evil.textconv", "diff.evil.command", "merge.evil.driver"):  # fmt: skip
        place.config(key)
    place.config("filter.evil.required", "true")
    place.meta("info/attributes", b"* filter=evil diff=evil text eol=crlf ident\n")
    place.write("in.smudged", b"a\r\n$Id$\n")


def attributes(place: Place) -> None:
    filters(place)
    place.write("a/.gitattributes", b"* filter=evil text eol=crlf working-tree-encoding=UTF-16\n")
    place.write("a/x", b"a\r\nb\n$Id$\n")


def git_file(place: Place) -> None:
    shutil.rmtree(place.at(".git"))
    place.write(".git", b"gitdir: ../user/.git\n")
    place.edit()


def git_link(place: Place) -> None:
    shutil.rmtree(place.at(".git"))
    place.at(".git").symlink_to("../user/.git")
    place.edit()


def git_gone(place: Place) -> None:
    shutil.rmtree(place.at(".git"))
    place.edit()


def git_hollow(place: Place) -> None:
    git_gone(place)
    place.at(".git").mkdir()


def hooks(place: Place) -> None:
    for hook in ("post-index-change", "reference-transaction", "pre-commit", "fsmonitor-watchman",
                 "post-checkout", "query-watchman"):  # fmt: skip
        place.meta(f"hooks/{hook}", place.program.read_bytes(), 0o755)


def borrowed(place: Place) -> None:
    place.meta("objects/info/alternates", b"../../../user/.git/objects\n/\n")
    place.meta("objects/info/http-alternates", b"http://localhost/\n")


def committed(place: Place) -> None:
    place.edit()
    place.git("add", "-A")
    place.git("commit", "-q", "-m", "mine")
    place.git("tag", "autonomous/r1")
    place.git("checkout", "-q", "--orphan", "other")


def replaced(place: Place) -> None:
    committed(place)
    tip = place.git("rev-parse", "work")
    place.git("replace", tip, place.git("rev-parse", f"{tip}^"))
    place.meta("info/grafts", f"{tip}\n".encode())
    place.meta("shallow", f"{tip}\n".encode())


def more_trees(place: Place) -> None:
    place.git("worktree", "add", "-q", "--detach", "tree")


def repository(where: Name) -> Act:
    def act(place: Place) -> None:
        place.write(f"{os.fsdecode(where)}/x")
        folder = place.at(where)
        git(folder, "init", "-q")
        git(folder, "config", "core.fsmonitor", os.fspath(place.program))
        git(folder, "-c", "core.fsmonitor=", "add", "-A")
        git(folder, "-c", "core.fsmonitor=", "commit", "-q", "-m", "nested")

    return act


def bare_below(place: Place) -> None:
    git(place.folder, "init", "-q", "--bare", "--template=", "r")
    place.write("r/config", b"[core]\n\tfsmonitor = " + os.fsencode(place.program) + b"\n")
    place.write("r/refs/x", b"")
    place.write("r/objects/x", b"")


def many_nested(place: Place) -> None:
    for number in range(1_000):
        place.write(f"n{number}/.git", b"")
        place.write(f"n{number}/x", b"")


def many_hidden(place: Place) -> None:
    place.edit()
    for number in range(3_000):
        place.write(f"n{number}/.gitignore", b"*\n")
        place.write(f"n{number}/x", b"")


def many_links(place: Place) -> None:
    for number in range(20_001):
        (place.folder / f"l{number}").symlink_to("README.md")


def many_files(count: int) -> Act:
    def act(place: Place) -> None:
        for number in range(count):
            (place.folder / f"f{number}").touch()

    return act


def holes(count: int, size: int) -> Act:
    """Files without a block on the disk."""

    def act(place: Place) -> None:
        for number in range(count):
            with (place.folder / f"h{number}").open("wb") as file:
                file.truncate(size)

    return act


def swap_folder(place: Place) -> None:
    place.at("src").rename(place.at("moved"))
    place.at("src").symlink_to(place.outside)


def file_to_folder(place: Place) -> None:
    place.at("README.md").unlink()
    place.write("README.md/x")


def folder_to_file(place: Place) -> None:
    shutil.rmtree(place.at("src"))
    place.write("src")


def link_to_file(place: Place) -> None:
    place.at("way").unlink()
    place.write("way")


def link_to_folder(place: Place) -> None:
    place.at("way").unlink()
    place.write("way/x")


def loop(place: Place) -> None:
    shutil.rmtree(place.at("src"))
    place.link("src", "src")


def pipe(name: str) -> Act:
    def act(place: Place) -> None:
        place.edit()
        place.at(name).unlink(missing_ok=True)
        os.mkfifo(place.at(name))

    return act


def sockets(place: Place) -> None:
    place.edit()
    here = Path.cwd()
    try:
        os.chdir(place.folder)  # a socket's name is short
        with socket.socket(socket.AF_UNIX) as one:
            one.bind("socket")
    finally:
        os.chdir(here)


def device(place: Place) -> None:
    place.at("README.md").unlink()
    os.mknod(place.at("README.md"), 0o020666, os.makedev(1, 5))  # /dev/zero, without an end


def hard_link_theirs(place: Place) -> None:
    os.chown(place.folder, 54_321, 54_321)
    os.link(place.outside / "secret", place.at("README.new"))


def hard_link_ours(place: Place) -> None:
    place.edit()
    os.link(place.at("new.py"), place.at("same.py"))
    os.link(place.at("README.md"), place.at("README.also"))


def root_gone(place: Place) -> None:
    shutil.rmtree(place.folder)


def root_link(place: Place) -> None:
    root_gone(place)
    place.folder.symlink_to("user")


def root_file(place: Place) -> None:
    root_gone(place)
    place.folder.write_text("x")


def everything_gone(place: Place) -> None:
    for entry in place.folder.iterdir():
        if entry.name != ".git":
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def hidden_work(place: Place) -> None:
    place.meta("info/exclude", b"*\n")
    place.write("src/.gitignore", b"*\n")
    place.write(".gitignore", b"*\n")


def sub_work(place: Place) -> None:
    place.edit()
    place.write("sub/x")


def sub_file(place: Place) -> None:
    place.at("sub").rmdir()
    place.write("sub")


def bash_names(place: Place) -> None:
    for name in ("$(touch canary)", "`touch canary`", ";touch canary;", "a|b", "a b\"c'", "%n%s"):
        place.write(name)


def index_lock(place: Place) -> None:
    place.meta("index.lock", b"")
    place.meta("HEAD.lock", b"")


def late(place: Place) -> None:
    """A second later than the checkout, so that no clock saves us."""
    ends = time.monotonic_ns() + 20_000_000
    while time.monotonic_ns() < ends:
        place.at("README.md").write_bytes(b"c project\n")


WORK = (
    fine("edit", "ordinary work", Place.edit),
    fine("same-second", "an edit of same size with the old time put back", same_second),
    fine("far-times", "files from 1970, 2099 and before time began", far_times),
    fine("rewritten", "a file written again and again", late),
    fine("crlf", "mixed line ends", lambda p: p.write("dos.txt", b"a\nb\r\n\r")),
    fine("modes", "modes 0666 and 0444", lambda p: p.write("README.md").chmod(0o444)),
    ask("executable", "a file made executable", lambda p: p.at("README.md").chmod(0o755),
        ("executable-bit", "README.md", 0)),
    ask("setuid", "a file with the setuid bit", lambda p: p.write("tool").chmod(0o4755),
        ("executable-bit", "tool", 0)),
    fine("mode-off", "an executable bit taken away", lambda p: p.at("run.sh").chmod(0o644)),
    fine("everything-gone", "all files deleted", everything_gone),
    fine("shell-names", "names that a shell would run", bash_names),
    fine("pathspec-names", "names like git's pathspec magic",
         lambda p: (p.write(":(top)x"), p.write(":!x"), p.write("*"), p.write("[a]"))),
    fine("hidden", "work hidden by the agent's own ignore rules", hidden_work),
    fine("base-ignored", "a file that the base ignores: left out",
         lambda p: (p.edit(), p.write("x.ign"))),
    fine("cache", "a folder that hides itself, as tools' caches do: left out",
         lambda p: (p.edit(), p.write("c/.gitignore", b"*\n"), p.write("c/x"))),
    refuse("nothing", "nothing", lambda p: None, ("empty-change", "", 0)),
    fine("hard-link", "hard links inside the clone", hard_link_ours),
)  # fmt: skip

GIT_FOLDER = (
    *(
        config(key, value)
        for key, value in (
            ("core.fsmonitor", ""), ("core.hooksPath", "/tmp"), ("core.sshCommand", ""),
            ("core.pager", ""), ("core.editor", ""), ("core.askPass", ""), ("core.gitProxy", ""),
            ("core.alternateRefsCommand", ""), ("credential.helper", ""), ("gpg.program", ""),
            ("alias.ls-files", ""), ("alias.update-index", ""), ("include.path", "../evil"),
            ("core.worktree", "../../user"), ("core.attributesFile", "../evil"),
            ("core.excludesFile", "../evil"), ("core.bare", "true"), ("core.symlinks", "false"),
            ("core.ignoreCase", "true"), ("core.fileMode", "false"), ("core.autocrlf", "true"),
            ("core.repositoryFormatVersion", "9"), ("extensions.worktreeConfig", "true"),
            ("uploadpack.packObjectsHook", ""), ("index.version", "4"), ("core.splitIndex", "true"),
            ("status.submoduleSummary", "true"), ("diff.external", ""),
        )
    ),
    fine("filters", "filters and text conversions that run programs", filters),
    ask("attributes", "the same in a new .gitattributes", attributes,
        ("gitattributes", "a/.gitattributes", 0)),
    fine("hooks", "hooks", hooks),
    fine("index-bits", "skip-worktree, assume-unchanged and removed entries in its index", bits),
    fine("sparse", "a sparse checkout with a sparse index", sparse),
    fine("index-junk", "an index of junk", lambda p: p.meta("index", b"DIRC\0\0\0\x63junk")),
    fine("head-junk", "a HEAD of junk", lambda p: p.meta("HEAD", b"ref: ../../etc/passwd\n")),
    fine("config-junk", "a configuration of junk", lambda p: p.meta("config", b"[\0")),
    fine("locks", "lock files", index_lock),
    fine("alternates", "objects borrowed from elsewhere", borrowed),
    fine("commits", "commits, an orphan branch and a tag of its own", committed),
    fine("replace", "replace refs, grafts and a shallow file", replaced),
    fine("commondir", "a common folder elsewhere",
         lambda p: p.meta("commondir", b"../../user/.git\n")),
    fine("exclude", "info/exclude of everything", lambda p: p.meta("info/exclude", b"*\n")),
    fine("git-gone", "no .git any more", git_gone),
    fine("git-hollow", "an empty .git", git_hollow),
    fine("git-file", ".git as a file that points elsewhere", git_file),
    fine("git-link", ".git as a link to the user's", git_link),
    refuse("worktree", "a second work tree inside", more_trees, ("nested-repository", "tree", 0)),
)  # fmt: skip

LINKS = (
    ask("link-inside", "a link that stays inside", lambda p: p.link("l", "src/app.py"),
        ("symlink", "l", 0)),
    ask("link-dangling", "a link to nothing inside", lambda p: p.link("l", "no"),
        ("symlink", "l", 0)),
    ask("link-for-file", "a file replaced by a link", lambda p: p.link("README.md", "run.sh"),
        ("symlink", "README.md", 0)),
    refuse("link-absolute", "a link to a secret", lambda p: p.link("l", p.outside / "secret"),
           ("symlink-outside", "l", 0)),
    refuse("link-up", "a link out of the tree", lambda p: p.link("a/l", "../../outside/secret"),
           ("symlink-outside", "a/l", 0)),
    refuse("link-git", "a link to .git/config", lambda p: p.link("l", ".git/config"),
           ("symlink-outside", "l", 0)),
    refuse("link-device", "a link to a device without end", lambda p: p.link("l", "/dev/zero"),
           ("symlink-outside", "l", 0)),
    refuse("link-long", "a link of 4,095 bytes", lambda p: p.link("l", "/" + "x" * 4094),
           ("symlink-outside", "l", 0)),
    refuse("link-retargeted", "a link of the base that points elsewhere now",
           lambda p: p.link("way", "/etc"), ("symlink-outside", "way", 0)),
    refuse("link-for-folder", "a folder replaced by a link to a folder outside", swap_folder,
           ("symlink-outside", "src", 0), ("kind-change", "src/app.py", 0)),
    ask("link-loop", "a folder replaced by a link to itself", loop, ("symlink", "src", 0),
        ("kind-change", "src/app.py", 0)),
    ask("link-to-file", "a link replaced by a file", link_to_file, ("kind-change", "way", 0)),
    ask("link-to-folder", "a link replaced by a folder", link_to_folder,
        ("kind-change", "way/x", 0)),
    ask("file-to-folder", "a file replaced by a folder", file_to_folder,
        ("kind-change", "README.md/x", 0)),
    ask("folder-to-file", "a folder replaced by a file", folder_to_file,
        ("kind-change", "src/app.py", 0)),
)  # fmt: skip

NAMES = (
    new("git-case", "in .GIT", ".GIT/config", ("dot-git", ".GIT/config", 0)),
    new("git-short", "in git~1", "a/git~1/x", ("dot-git", "a/git~1/x", 0)),
    new("git-hfs", "in .git with a joiner", ".g\u200cit/x", ("dot-git", ".g\\u200cit/x", 0)),
    new("git-dot", "in `.git.`", ".git./x", ("dot-git", ".git./x", 0)),
    new("git-space", "in `.git `", ".git /x", ("dot-git", ".git /x", 0)),
    new("modules", "named .gitmodules", ".gitmodules", ("submodule", ".gitmodules", 0)),
    refuse("name-modules-link", "a link named .gitmodules",
           lambda p: p.link(".gitmodules", "README.md"), ("not-a-tree", "", 0)),
    new("dash", "named -x", "-x", ("file-name", "-x", 0)),
    new("option", "named --upload-pack=x", "--upload-pack=x", ("file-name", "--upload-pack=x", 0)),
    new("newline", "with a line break", "a\nb", ("file-name", "a\\nb", 0)),
    new("tab", "with a tab", "a\tb", ("file-name", "a\\tb", 0)),
    new("escape", "with a terminal escape", "a\x1b[2J", ("file-name", "a\\x1b[2J", 0)),
    new("bidi", "with a text-direction mark", "a\u202eb", ("file-name", "a\\u202eb", 0)),
    new("zero-width", "with an invisible character", "a\u200b", ("file-name", "a\\u200b", 0)),
    new("latin1", "whose name is not UTF-8", b"caf\xe9", ("file-name", "caf\\xe9", 0)),
    new("backslash", "with a backslash", "a\\b", ("file-name", "a\\b", 0)),
    new("dot-end", "whose name ends with a dot", "a.", ("file-name", "a.", 0)),
    new("aux", "reserved on Windows", "AUX.h", ("file-name", "AUX.h", 0)),
    new("case-twin", "that differs by case", "readme.md", ("name-clash", "readme.md", 0)),
    refuse("name-unicode-twins", "an accent in two Unicode forms",
           lambda p: (p.write("caf\u00e9"), p.write("cafe\u0301")),
           ("name-clash", "cafe\u0301", 0)),
    fine("name-long", "a name of 255 bytes", lambda p: p.write("n" * 255)),
    fine("deep", "a file 100 folders deep", lambda p: p.write("d/" * 100 + "x").chmod(0o644)),
    refuse("deep-900", "a file 900 folders deep", lambda p: p.deep(900),
           ("path-length", "d/" * 900 + "file", 0)),
    refuse("deep-3000", "a file 3,000 folders deep, more than a path can name",
           lambda p: p.deep(3000), ("path-length", "", 0)),
    refuse("forged-full-disk", "names that make git seem to tell of a full disk",
           lambda p: p.link("x\nfatal: unable to write new index file\n/.gitmodules", "x"),
           ("not-a-tree", "", 0)),
)  # fmt: skip


def trap(where: str, *pointers: tuple[str, str]) -> Act:
    """A folder with what git takes for a repository, one part of it without an end."""

    def act(place: Place) -> None:
        for name, content in (
            ("HEAD", b"ref: refs/heads/x\n"),
            ("refs/x", b""),
            ("objects/x", b""),
        ):
            place.write(f"{where}/.git/{name}", content)
        for name, target in pointers:
            place.at(f"{where}/.git/{name}").unlink(missing_ok=True)
            if target:
                place.link(f"{where}/.git/{name}", target)
            else:
                place.at(f"{where}/.git/{name}").parent.mkdir(exist_ok=True)
                os.mkfifo(place.at(f"{where}/.git/{name}"))

    return act


NESTED = (
    refuse("trap-head", "a folder whose .git/HEAD is a pipe", trap("n", ("HEAD", "")),
           ("nested-repository", "n", 0)),
    refuse("trap-common", "one whose .git/commondir is a device without end",
           trap("n", ("commondir", "/dev/zero")), ("nested-repository", "n", 0)),
    refuse("trap-ignored", "the same in a folder that the base ignores",
           trap("x.ign", ("HEAD", "")), ("nested-repository", "x.ign", 0)),
    refuse("trap-submodule", "a submodule's folder with a pipe as its branch",
           trap("sub", ("refs/heads/x", "")), ("nested-repository", "sub", 0)),
    refuse("trap-outside", "a folder with a file .git that points outside",
           lambda p: p.write("n/.git", b"gitdir: " + os.fsencode(p.outside)),
           ("nested-repository", "n", 0)),
    refuse("trap-attributes", "a pipe named .gitattributes", pipe("src/.gitattributes"),
           ("file-kind", "src/.gitattributes", 0)),
    fine("ignored-repository", "a repository in a folder that the base ignores: left out",
         lambda p: (p.edit(), repository("x.ign")(p))),
    refuse("nested", "a repository inside", repository("n"), ("nested-repository", "n", 0)),
    refuse("nested-tracked", "a repository in a folder of the base", repository("src"),
           ("nested-repository", "src", 0)),
    refuse("nested-submodule", "a repository in a submodule's folder", repository("sub"),
           ("nested-repository", "sub", 0)),
    refuse("nested-file", "a folder with a file named .git",
           lambda p: (p.write("n/.git"), p.write("n/x")), ("nested-repository", "n", 0)),
    refuse("nested-link", "a folder with a link named .git",
           lambda p: (p.link("n/.git", "../.git"), p.write("n/x")), ("nested-repository", "n", 0)),
    refuse("nested-1000", "1,000 of them", many_nested, ("nested-repository", "n0", 0)),
    fine("nested-bare", "a repository without a work tree, which is files like others", bare_below),
    fine("submodule-work", "files in a submodule's folder: left out", sub_work),
    fine("submodule-gone", "a submodule's folder deleted", lambda p: p.at("sub").rmdir()),
    fine("submodule-file", "a submodule's folder replaced by a file", sub_file),
)  # fmt: skip

ODD = (
    fine("pipe-new", "a new pipe: left out", pipe("pipe")),
    refuse("pipe", "a pipe in the place of a file", pipe("README.md"), ("file-kind", "README.md", 0)),
    fine("socket", "a new socket: left out", sockets),
    refuse("device", "a device in the place of a file", device, ("file-kind", "README.md", 0),
           needs="root"),
    refuse("hard-link-outside", "a hard link to somebody else's file", hard_link_theirs,
           ("hard-link", "README.new", 0), needs="root"),
    refuse("closed-file", "a file that cannot be read", lambda p: p.at("README.md").chmod(0),
           ("unreadable", "README.md", 0), needs="user"),
    refuse("closed-folder", "a folder that cannot be read", lambda p: p.at("src").chmod(0),
           ("unreadable", "src/", 0), ("unreadable", "src/app.py", 0), needs="user"),
    refuse("closed-root", "the clone's own folder closed", lambda p: p.folder.chmod(0),
           ("work-tree", "", 0), needs="user"),
    refuse("root-gone", "the clone deleted", root_gone, ("work-tree", "", 0)),
    refuse("root-link", "the clone replaced by a link to the user's repository", root_link,
           ("work-tree", "", 0)),
    refuse("root-file", "the clone replaced by a file", root_file, ("work-tree", "", 0)),
    refuse("huge-file", "a file of 10 GiB, all of it a hole", holes(1, 10 << 30),
           ("file-size", "h0", 0)),
    refuse("huge-total", "nine files of 64 MiB", holes(9, 64 << 20), ("total-size", "h8", 0)),
    refuse("big-file", "a file of 11 MiB", holes(1, 11 << 20), ("file-size", "h0", 0)),
    refuse("files-1001", "1,001 new files", many_files(1001), ("too-many-files", "", 0)),
    refuse("links-20001", "20,001 new links", many_links, ("too-many-files", "l9999", 0)),
    fine("hidden-3000", "3,000 folders that hide themselves: left out", many_hidden),
)  # fmt: skip

RACES = (
    fine("race-edit", "a file changed while it is captured", Place.edit,
         race='echo changed > "$CLONE/new.py"'),
    refuse("race-link", "a file that becomes a link meanwhile", Place.edit,
           ("symlink-outside", "new.py", 0), race='ln -sf "$OUTSIDE/secret" "$CLONE/new.py"'),
    refuse("race-folder", "a folder that becomes a link meanwhile",
           lambda p: p.write("a/secret"), ("not-a-tree", "", 0),
           race='rm -r "$CLONE/a"; ln -s "$OUTSIDE" "$CLONE/a"'),
    refuse("race-pipe", "a file that becomes a pipe meanwhile", Place.edit, ("not-a-tree", "", 0),
           race='rm "$CLONE/new.py"; mkfifo "$CLONE/new.py"'),
    refuse("race-gone", "a file deleted meanwhile", Place.edit, ("not-a-tree", "", 0),
           race='rm "$CLONE/new.py"'),
    refuse("race-nested", "a file that becomes a repository meanwhile", Place.edit,
           ("submodule", "new.py", 0),
           race='cd "$CLONE"; rm new.py; mkdir -p new.py/.git/objects new.py/.git/refs; '
                f'echo {"1" * 40} > new.py/.git/HEAD; cd - >/dev/null'),
)  # fmt: skip

CLONES = (*WORK, *GIT_FOLDER, *LINKS, *NAMES, *NESTED, *ODD, *RACES)
