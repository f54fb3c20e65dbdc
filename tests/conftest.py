"""Settings for all tests."""

from __future__ import annotations

import signal
import threading

from hypothesis import settings

# No timing decides a test: a loaded machine is slow, not wrong. A failure prints how to repeat it.
settings.register_profile("autopack", deadline=None, print_blob=True)
settings.load_profile("autopack")

# Started with `&` by a script, this process ignores Ctrl-C and so would all that it starts; the
# tests of an interrupted command need programs that hear it.
if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    and threading.current_thread() is threading.main_thread()
):
    signal.signal(signal.SIGINT, signal.default_int_handler)
