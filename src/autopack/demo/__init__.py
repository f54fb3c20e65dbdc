"""The demo's project, plan and recorded answers: data, read by `autopack demo` and by tests."""
