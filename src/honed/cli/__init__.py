"""The command line. `honed --help` must stay under half a second: commands import what they need when they run."""

from __future__ import annotations

import os
import sys

from honed.cli import documents, releasing, searching, tuning, upkeep  # noqa: F401 - each adds its commands
from honed.cli.app import app


def main() -> None:
    """Entry point: errors become one sentence and a hint, an interrupt says how to go on."""
    from honed.cli.output import report_error
    from honed.errors import HonedError

    # Threads that wait for each other sleep instead of spinning: on a busy machine spinning made training 10 times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    debug = "--debug" in sys.argv or bool(os.environ.get("HONED_DEBUG"))
    try:
        code = app(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except HonedError as error:
        if debug:
            raise
        sys.exit(report_error(error))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; what was finished is kept: type the same command again to go on\n")
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # a usage error of the command line itself
            error.show()
            sys.exit(2)
        if debug:
            raise
        sys.stderr.write(f"error: {type(error).__name__}: {error}\n")
        sys.stderr.write("hint: this is a defect; run again with --debug and report it\n")
        sys.exit(70)
