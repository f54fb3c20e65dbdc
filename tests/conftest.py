"""Settings for all tests."""

from __future__ import annotations

from hypothesis import settings

# No timing decides a test: a loaded machine is slow, not wrong. A failure prints how to repeat it.
settings.register_profile("autopack", deadline=None, print_blob=True)
settings.load_profile("autopack")
