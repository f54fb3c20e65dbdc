"""`autopack config`: which settings hold here, and where each comes from. Only reads."""

from __future__ import annotations

import os
from pathlib import Path

from cyclopts import App

from autopack.cli.options import Json

app = App(name="config", help="Which settings hold here, and where they come from.")


@app.command(name="show")
def show(*, json: Json = False) -> None:
    """Print every setting of this machine, its value and its origin; and the folders in use."""
    from autopack.cli import render
    from autopack.settings import load

    loaded = load(Path.cwd(), os.environ)
    folders = loaded.folders
    places = {
        "data": folders.data,
        "state": folders.state,
        "cache": folders.cache,
        "database": folders.database,
        "logs": folders.logs,
    }
    if json:
        rows = [{"key": k, "value": v, "origin": o} for k, v, o in loaded.rows()]
        render.data({"settings": rows, "folders": {k: str(v) for k, v in places.items()}})
        return
    rows_shown = [(key, _shown(value), origin) for key, value, origin in loaded.rows()]
    render.out(*render.table(("KEY", "VALUE", "ORIGIN"), rows_shown), "")
    render.out(*render.table(("FOLDER", ""), [(k, str(v)) for k, v in places.items()]))
    render.note("[project], [ci], [environment], [policy] and [run] are read from a run's base")


def _shown(value: object) -> str:
    if value is None or value == "":
        return "-"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
