"""The only room that starts programs: a plain runner, and a sandbox built on it."""
