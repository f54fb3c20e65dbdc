"""The double's answers held against GitHub's own description of its API, as githubkit has it."""

from __future__ import annotations

import json
from functools import cache
from types import GenericAlias
from typing import Any

from pydantic import TypeAdapter


@cache
def adapter(name: str) -> TypeAdapter[Any]:
    """The model of that name, or a list of it."""
    from githubkit_schemas.v2022_11_28 import models

    listed = name.startswith("list[")
    model: Any = getattr(models, name.removeprefix("list[").removesuffix("]"))
    shape: Any = GenericAlias(list, (model,)) if listed else model
    return TypeAdapter(shape)


def check(answers: list[tuple[str, object]]) -> None:
    """Fails the test with the first answer that GitHub would not give."""
    for name, value in answers:
        adapter(name).validate_json(json.dumps(value))
