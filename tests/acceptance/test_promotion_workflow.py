"""`.github/workflows/promotion.yml`: what its jobs run promotes, with the runner's own `[forge]`.

GitHub is the double. A job has its step's variables and what the runner's user has, no more.
"""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from autopack import wiring
from autopack.process.limits import Finished, Limits
from autopack.process.runner import run
from tests.acceptance.test_promotion_gh import check_one
from tests.double.hub import WRITER
from tests.double.server import Double, serving
from tests.forges import NAME
from tests.lab import ROOT, Lab, phase, until

yaml: Final[Any] = importlib.import_module("yaml")  # it has no types of its own
FILE: Final = ROOT / ".github" / "workflows" / "promotion.yml"
INPUTS: Final = {"${{ inputs.run }}": "r"}


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Double]:
    with serving(tmp_path / "hub") as made:
        yield made


def workflow() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


def steps(job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = workflow()["jobs"][job]["steps"]
    return found


def of_the_runner(lab: Lab, double: Double) -> None:
    """The runner's user says where pull requests go, and where the token is."""
    lab.make()
    token = lab.root / "home" / "token"
    token.write_text(WRITER)
    token.chmod(0o600)
    config = lab.root / "home" / ".config" / "autopack" / "autopack.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        f'[forge]\nkind = "github"\nrepository = "{NAME}"\nclient = "http"\napi_url = "{double.url}"\n'
        f'remote = "{double.remote(NAME)}"\ntoken_file = "~/token"\n'
    )


def job(lab: Lab, name: str) -> list[Finished]:
    """Run the steps of a job as a runner does: by a shell, in a folder of its own."""
    place = lab.root / "work"
    place.mkdir(exist_ok=True)
    path = f"{Path(sys.executable).parent}:{lab.environment['PATH']}"
    done = []
    for step in steps(name):
        given = {key: INPUTS[text] for key, text in step.get("env", {}).items()}
        env = {**lab.environment, "PATH": path, **given}
        argv = ["bash", "-e", "-c", step["run"]]
        done.append(run(argv, env=env, cwd=place, limits=Limits(60.0)))
    return done


@pytest.mark.slow
@pytest.mark.parametrize("at_work", [False, True])
def test_its_jobs_make_one_pull_request(lab: Lab, double: Double, at_work: bool) -> None:
    """Also where a supervisor is at work, which has no variable of the job."""
    of_the_runner(lab, double)
    repo = double.hub.add(NAME, lab.project)
    assert lab.run(phase("F1", "do: write src/x.txt x")).code == 0
    supervisor = lab.start("supervise") if at_work else None
    if supervisor:
        until(lambda: not wiring.check_folders(lab.loaded), "the supervisor is at work")
    try:
        (looked,) = job(lab, "check-eligibility")
        assert looked.exit_code == 0, looked.stderr
        assert b"r is eligible" in looked.stdout
        assert not repo.pulls
        (made,) = job(lab, "promote")
        assert made.exit_code == 0, made.stderr
        check_one(lab, repo)
    finally:
        if supervisor:
            supervisor.send_signal(signal.SIGTERM)
            assert supervisor.wait(30) is not None


@pytest.mark.slow
def test_its_first_job_stops_a_run_that_may_not_be(lab: Lab, double: Double) -> None:
    of_the_runner(lab, double)
    double.hub.add(NAME, lab.project)
    assert lab.run(phase("F1", "nothing is to do")).code == 1
    (looked,) = job(lab, "check-eligibility")
    assert looked.exit_code == 1
    assert b"not eligible" in looked.stdout


def test_it_looks_first_has_no_right_and_splices_no_input_into_a_shell() -> None:
    whole = workflow()
    assert list(whole["jobs"]) == ["check-eligibility", "promote"]
    assert whole["jobs"]["promote"]["needs"] == "check-eligibility"
    assert whole["permissions"] == {}
    assert not any("permissions" in each for each in whole["jobs"].values())
    ran = [step["run"] for name in whole["jobs"] for step in steps(name)]
    assert not any("${{" in line for line in ran)
