"""The triggers that keep events append-only, for the migrations, for each kind of database.

An applied migration never changes, so neither does a text here.
"""

from __future__ import annotations

from typing import Final

_SQLITE: Final = (
    """CREATE TRIGGER autopack_events_no_update BEFORE UPDATE ON autopack_events
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
    # Deleting a run deletes its events by cascade: its row is gone by then.
    """CREATE TRIGGER autopack_events_no_delete BEFORE DELETE ON autopack_events
    WHEN EXISTS (SELECT 1 FROM autopack_runs WHERE run_id = OLD.run_id)
    BEGIN SELECT RAISE(ABORT, 'events are deleted only with their run'); END""",
)
_POSTGRESQL: Final = (
    """CREATE FUNCTION autopack_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation';
    END $$""",
    """CREATE FUNCTION autopack_refuse_alone() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (SELECT 1 FROM autopack_runs WHERE run_id = OLD.run_id) THEN
            RAISE EXCEPTION 'events are deleted only with their run'
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN OLD;
    END $$""",
    """CREATE TRIGGER autopack_events_no_update BEFORE UPDATE ON autopack_events
    FOR EACH ROW EXECUTE FUNCTION autopack_refuse('events are append-only')""",
    """CREATE TRIGGER autopack_events_no_delete BEFORE DELETE ON autopack_events
    FOR EACH ROW EXECUTE FUNCTION autopack_refuse_alone()""",
    """CREATE TRIGGER autopack_events_no_truncate BEFORE TRUNCATE ON autopack_events
    FOR EACH STATEMENT EXECUTE FUNCTION autopack_refuse('events are append-only')""",
)


def append_only(dialect: str) -> tuple[str, ...]:
    """The statements that make events append-only."""
    return {"sqlite": _SQLITE, "postgresql": _POSTGRESQL}[dialect]
