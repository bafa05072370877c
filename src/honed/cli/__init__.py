"""The command line. `honed --help` must stay under half a second: commands import what they need when they run."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from honed.cli import documents, imagining, releasing, searching, tuning, upkeep  # noqa: F401 - each adds its commands
from honed.cli.app import app

if TYPE_CHECKING:
    from honed.errors import HonedError

INTERRUPTED = 130


def main() -> None:
    """Entry point: errors become one sentence and a hint, an interrupt says how to go on."""
    from honed.cli.output import report_error
    from honed.errors import HonedError

    # Threads that wait for each other sleep instead of spinning, which starves them on a busy machine (cause not isolated).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    debug = "--debug" in sys.argv or bool(os.environ.get("HONED_DEBUG"))
    try:
        code = app(standalone_mode=False)
        if code == INTERRUPTED:  # typer has swallowed the KeyboardInterrupt
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else 0)
    except HonedError as error:
        if debug:
            raise
        sys.exit(report_error(error))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; what was finished is kept: type the same command again to go on\n")
        sys.exit(INTERRUPTED)
    except Exception as error:
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # a usage error of the command line itself
            error.show()
            sys.exit(2)
        if debug:
            raise
        sys.exit(report_error(_explained(error)))


def _explained(error: Exception) -> HonedError:
    """An error of the machine (packages, disk, permissions, database) as a sentence; anything else is a defect of ours."""
    from honed.errors import HonedError, IntegrityError, UsageError, missing_extra
    from honed.models.registry import EXTRAS

    package = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if package in EXTRAS:
        return missing_extra(package, EXTRAS[package])
    if isinstance(error, OSError) and error.strerror:
        name = error.filename2 or error.filename
        where = f"{os.fsdecode(name)}: " if isinstance(name, str | bytes) else ""
        return UsageError(f"{where}{error.strerror}.", hint="mend that, then type the same command again")
    if type(error).__module__ == "sqlite3":
        return IntegrityError(f"The catalog cannot be read or written: {error}.", hint="honed doctor")
    defect = HonedError(
        f"{type(error).__name__}: {error}", hint="this is a defect; run again with --debug and report it"
    )
    defect.exit_code = 70
    return defect
