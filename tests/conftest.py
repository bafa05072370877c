"""What holds for every test."""

from __future__ import annotations

import signal

# A shell that starts the tests in the background makes their children ignore Ctrl-C; some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)
