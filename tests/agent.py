"""The coding agent of our tests: does what the lines `do: …` of its prompt say, inside its fence.

`do 2: …` holds for the second attempt only. The prompt is a file (first argument) or stdin. It no
longer hangs when the test has put a file `go` beside it.
"""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

prompt = Path(sys.argv[1]).read_text() if len(sys.argv) > 1 else sys.stdin.read()
attempt = os.environ["AUTOPACK_ATTEMPT"]


def put(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text + "\n")


def tried(what: str, act: Callable[[], object]) -> str:
    try:
        act()
    except OSError as fault:
        return f"{what}: {type(fault).__name__}"
    return f"{what}: DONE"


def reach(outside: str) -> str:
    """What it can do outside of its clone; each line should tell of a refusal."""
    folder, _, address = outside.partition(" ")
    host, _, port = address.partition(":")
    return "\n".join([
        tried("write", lambda: Path(folder, "mark").write_text("here")),
        tried("read", lambda: Path(folder).with_name("data").joinpath("autopack.db").read_bytes()),
        tried("system", lambda: Path("/usr/mark").write_text("here")),
        tried("connect", lambda: socket.create_connection((host, int(port)), 3).close()),
    ])  # fmt: skip


for only, verb, rest in re.findall(r"^do(?: (\d+))?: (\w+) ?(.*)$", prompt, re.MULTILINE):
    path, _, text = rest.partition(" ")
    if only and only != attempt:
        continue
    if verb == "write":
        put(path, text)
    elif verb == "tell":  # a variable of the environment, or what the prompt says
        value = os.environ.get(text, "(unset)")
        put(path, prompt if text == "prompt" else value)
    elif verb == "reach":
        put("src/reach.txt", reach(rest))
    elif verb == "plan":  # a plan for what it was asked, as a JSON string
        put("autopack-plan.md", json.loads(rest))
    elif verb == "link":
        Path(path).symlink_to(text)
    elif verb == "nest":
        put(f"{path}/.git/HEAD", "ref: refs/heads/main")
        put(f"{path}/file", "inside")
    elif verb == "noise":  # so many bytes that no compression makes fewer
        put(path, "")
        Path(path).write_bytes(os.urandom(int(text)))
    elif verb == "fill":  # all that the disk takes; then it gives up as most programs would
        put(path, "")
        with Path(path).open("wb", buffering=0) as file:
            while True:
                file.write(os.urandom(1 << 16))
    elif verb == "tokens":
        Path(os.environ["AUTOPACK_USAGE_FILE"]).write_text(json.dumps({"tokens": int(rest)}))
    elif verb == "issues":  # what it doubts, as the plan words it
        Path(os.environ["AUTOPACK_ISSUES_FILE"]).write_text(rest)
    elif verb == "flood":  # an issue whose description has so many characters
        told = [{"issue_key": "flood", "description": "x" * int(rest)}]
        Path(os.environ["AUTOPACK_ISSUES_FILE"]).write_text(json.dumps(told))
    elif verb == "leak":  # a secret, told backwards, to wherever it can put one
        secret = rest[::-1]
        put("src/key.txt", secret)
        put(f"src/{secret[:60]}", "its name")
        print(secret)
        print(secret, file=sys.stderr)
        issue = {"issue_key": "k", "description": secret, "evidence_refs": [secret]}
        Path(os.environ["AUTOPACK_ISSUES_FILE"]).write_text(json.dumps([issue]))
        Path(os.environ["AUTOPACK_ISSUES_FILE"]).with_name("more").write_text(secret)
    elif verb == "hang" and not Path(__file__).with_name("go").exists():
        # for one child, in a session of its own, which a killed group does not reach
        subprocess.run(["sleep", rest], start_new_session=True, check=False)
    elif verb == "exit":
        print("the agent gives up", file=sys.stderr)
        sys.exit(int(rest))
