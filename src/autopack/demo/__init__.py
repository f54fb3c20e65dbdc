"""The demo's project, plan and recorded patches: data, read by `autopack demo` and by tests."""
