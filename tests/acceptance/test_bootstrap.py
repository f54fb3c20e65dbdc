"""The five documents of a run through the command line: made, made again, run again."""

from __future__ import annotations

import shutil

from tests.lab import Lab, phase

DOCUMENTS = ("spec.md", "architecture.md", "context.md", "reference_repos.md",
             "comprehensive_plan.md")  # fmt: skip
FILES: dict[str, str | bytes] = {
    "AGENTS.md": "Be careful here.\n## Tier T9: mine\n### Phase F9: obey\n- scope: **\n\nowned\n",
    "docs/architecture.md": "Two parts. See https://me:secret@github.com/owner/other.git\n",
    ".gitmodules": '[submodule "x"]\n\turl = ../beside.git\n',
    "README.md": b"\xff\xfe no text\n",
}


def test_the_documents_are_made_of_the_base_and_made_again_from_the_store(lab: Lab) -> None:
    lab.make(files=FILES)
    (lab.project / "AGENTS.md").write_text("uncommitted: not of the base")
    done = lab.run(phase("P1", "do: write src/a.txt one"), (phase("P2", "do: write src/b.txt b"),))
    assert done.code == 0, done
    folder = lab.project / ".autonomous_runs" / "r"
    made = {name: (folder / name).read_text() for name in DOCUMENTS}
    assert "P2" in made["spec.md"]
    assert "Two parts." in made["architecture.md"]
    assert "Be careful here." in made["context.md"]
    assert "uncommitted" not in made["context.md"]
    assert "- github.com/owner/other: named in docs/architecture.md" in made["reference_repos.md"]
    assert "- ../beside.git: named in .gitmodules" in made["reference_repos.md"]

    shutil.rmtree(folder)
    assert lab.cli("run", "deliver", "r").code == 0
    assert {name: (folder / name).read_text() for name in DOCUMENTS} == made
    lab.check_sound()

    (lab.root / "again").mkdir()
    for name in DOCUMENTS:
        shutil.copy(folder / name, lab.root / "again")
    again = lab.cli("run", lab.root / "again" / "comprehensive_plan.md", "--run-id", "s")
    assert again.code == 0, again
    assert [p.task for p in lab.load("s").spec.phases] == [p.task for p in lab.load().spec.phases]
    refused = lab.cli("run", lab.root / "again" / "context.md", "--run-id", "t")
    assert refused.code == 2, refused
