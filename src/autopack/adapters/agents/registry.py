"""From configuration to agents: each `[agents.NAME]` becomes what its type's factory makes of it.

A factory is `factory(name, options, context)`, found by entry point, and returns an object with
`build` (a Builder), `audit` (an Auditor) or both; it may have `check(fenced=…, prepares=…)`, asked
before a run begins. Nothing is started here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autopack.adapters.plugins import AGENTS, load
from autopack.app.agents import (
    Agents,
    Auditor,
    Builder,
)
from autopack.app.backtest import History
from autopack.core.errors import OperatorFault
from autopack.process.workbench import Prepared, Workbench


def _unprepared(run_id: str) -> Prepared | None:
    del run_id
    return None


@dataclass(frozen=True)
class AgentContext:
    """What a factory may use.

    `environ`: the supervisor's environment, for `pass_env`. `base`: what relative paths in options
    are relative to. `prompts`: a folder of the user's own templates. `prepared`: the environment
    of a run, by run id, None when it has none. `history`: the commits of the repository that holds
    a folder.
    """

    workbench: Workbench
    environ: Mapping[str, str]
    base: Path
    prompts: Path | None = None
    prepared: Callable[[str], Prepared | None] = _unprepared
    history: Callable[[Path], History] | None = None


def load_agents(configured: Mapping[str, Mapping[str, object]], context: AgentContext) -> Agents:
    """Every configured agent under its name; OperatorFault says which key is wrong."""
    builders: dict[str, Builder] = {}
    auditors: dict[str, Auditor] = {}
    for name, options in configured.items():
        agent = load_agent(name, options, context)
        if hasattr(agent, "build"):
            builders[name] = agent
        if hasattr(agent, "audit"):
            auditors[name] = agent
        if name not in builders and name not in auditors:
            raise OperatorFault(f"agents.{name}: its type neither builds nor audits", "report it")
    return Agents(builders, auditors)


def load_agent(name: str, options: Mapping[str, object], context: AgentContext) -> Any:  # noqa: ANN401 - a Builder, an Auditor or both: Python has no name for that
    """What `[agents.NAME]` describes: a Builder, an Auditor or both."""
    kind = options.get("type", "command")
    if not isinstance(kind, str):
        raise OperatorFault(f"agents.{name}.type: must be a string", 'write type = "command"')
    return load(AGENTS, kind, f"agents.{name}.type")(name, options, context)
