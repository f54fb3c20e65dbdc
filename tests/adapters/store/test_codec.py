"""Runs and events as JSON and back, exactly."""

from __future__ import annotations

import math
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopack.adapters.store import codec
from autopack.core.command import Command, Pending
from autopack.core.event import EnvironmentPrepared, Event, Unparked
from autopack.core.run import (
    Candidate,
    Evidence,
    Failure,
    Finding,
    Phase,
    Run,
    Snapshot,
)
from autopack.core.spec import (
    PhaseSpec,
    RunSpec,
    TierSpec,
)
from tests.contracts.walks import walk

# Any code point, lone surrogates too: git paths and agents' output are not always Unicode.
TEXT = st.text(st.characters(exclude_categories=()), max_size=12)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
COUNT = st.integers(0, 2**53)


for plain, strategy in ((str, TEXT), (float, FINITE), (int, COUNT)):
    st.register_type_strategy(plain, strategy)


def records(kind: type, **given_fields: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Instances with every field drawn, those with defaults too."""
    drawn: dict[str, st.SearchStrategy[object]] = {
        name: _drawn(annotation)
        for name, annotation in _hints(kind).items()
        if name != "kind" and name not in given_fields
    }
    return st.builds(kind, **drawn, **given_fields)


def _drawn(annotation: type[object]) -> st.SearchStrategy[object]:
    """Of a tuple of any length a few: none, one and two are all that it can get wrong."""
    parts = get_args(annotation)
    if get_origin(annotation) is tuple and parts[1:] == (...,):
        return st.lists(st.from_type(parts[0]), max_size=2).map(tuple)
    return st.from_type(annotation)


def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, localns={"Pending": Pending})


for record in (
    Finding,
    Candidate,
    Evidence,
    Failure,
    Snapshot,
    TierSpec,
    PhaseSpec,
    RunSpec,
    Phase,
):
    st.register_type_strategy(record, records(record))
COMMANDS = st.one_of([records(kind) for kind in get_args(Command)])
EVENTS = st.one_of([records(kind) for kind in get_args(Event)])
PENDING = st.builds(Pending, COUNT, COMMANDS, COUNT)
RUNS = records(Run, pending=st.lists(PENDING, max_size=3).map(tuple))


@given(EVENTS)
def test_an_event_survives_the_round_trip(event: Event) -> None:
    text = codec.encode_event(event)
    assert codec.decode_event(text) == event
    assert codec.encode_event(codec.decode_event(text)) == text
    assert text.isascii()


@settings(max_examples=50)  # one has every field of every record
@given(RUNS)
def test_a_run_survives_the_round_trip(run: Run) -> None:
    text = codec.encode_run(run)
    assert codec.decode_run(text) == run
    assert codec.encode_run(codec.decode_run(text)) == text


def test_types_survive_too() -> None:
    run = codec.decode_run(codec.encode_run(walk()[2][0]))
    assert isinstance(run.phases, tuple)
    assert isinstance(run.spec.phases[0].scope, tuple)
    assert type(run.stage) is type(walk()[2][0].stage)
    assert type(run.pending[0].command) is type(walk()[2][0].pending[0].command)


def test_a_record_names_the_spec_of_a_phase_once() -> None:
    run = walk(phases=5)[2][0]
    assert codec.encode_run(run).count(run.spec.phases[4].name) == 1


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_json_has_not_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        codec.encode_event(Unparked("F1", value))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"kind":"nothing"}', '{"kind":"unparked","phase_id":"F1"}']
)
def test_what_is_no_event_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  json's and pydantic's own words
        codec.decode_event(text)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"phases":[{"spec":3}],"spec":{"phases":[]}}']
)
def test_what_is_no_run_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  json's and pydantic's own words
        codec.decode_run(text)


def test_the_digest_is_pinned() -> None:
    """Old chains must verify for ever: this value never changes."""
    row = {"run_id": "r", "sequence": 1, "at": 2, "kind": "environment_prepared", "answers": 0,
           "active_seconds": 0.5, "payload": codec.encode_event(EnvironmentPrepared("d"))}  # fmt: skip
    assert codec.digest(codec.GENESIS, row) == (
        "0b15aea9c03c00c3341fa17f9f4a6ae2a5da57502f7e0dc0c2c95cfc9c0734e7"
    )
