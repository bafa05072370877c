"""The one error tree. Every error that a user can meet is a sentence, its cause and a hint.

HonedError                exit 2
├── UsageError            exit 2   the command, a setting or the input is wrong
│   ├── InputError                 a file or a folder that was given cannot be used
│   └── BusyError                  another process holds the workspace
├── MissingError          exit 3   a model, an extra or a file is not there
├── IntegrityError        exit 3   stored bytes do not match their hash
├── ServiceError          exit 4   an outside service failed
└── CheckFailed           exit 1   the check that was asked for says no
"""

from __future__ import annotations


class HonedError(Exception):
    """Base of all errors that are shown to a user without a traceback."""

    exit_code = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(HonedError):
    """The command line, a setting or an argument is wrong."""


class InputError(UsageError):
    """A file or folder that was given cannot be used."""


class BusyError(UsageError):
    """Another process is writing to the workspace."""


class MissingError(HonedError):
    """A model, an optional package or a file is missing."""

    exit_code = 3


class IntegrityError(HonedError):
    """Stored bytes do not match the hash that was recorded for them."""

    exit_code = 3


class ServiceError(HonedError):
    """A service outside of this process failed or did not answer."""

    exit_code = 4


class CheckFailed(HonedError):
    """A check that the user asked for (a gate, `doctor`) says no."""

    exit_code = 1


def missing_extra(package: str, extra: str) -> MissingError:
    """The error for an optional package that is not installed: it says exactly what to type."""
    return MissingError(f"The package '{package}' is not installed.", hint=f"pip install 'honed[{extra}]'")
