"""What an examination finds: one sentence each, how bad it is, and what to type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Level = Literal["ok", "note", "unfinished", "wrong"]
"""`note`: worth knowing, nothing to do. `unfinished`: a command was interrupted; the next one or `--repair` clears it away,
and nothing that was acknowledged is touched. `wrong`: bytes are not what they have to be."""

Action = Literal[
    "",
    "reindex",
    "leftovers",
    "orphans",
    "cache",
    "blobs",
    "pictures",
    "descriptors",
    "vectors",
    "index",
    "rebuild",
    "results",
]
"""What `--repair` would do about it; empty where the truth itself is hit and has to come from outside."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of one check.

    Attributes:
        check: What was looked at, such as "index" or "release r2".
        message: A sentence for a person.
        hint: What to type, or where the truth must come from.
        repair: What `--repair` does about it.
    """

    check: str
    level: Level
    message: str
    hint: str = ""
    repair: Action = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"repairable": bool(self.repair)}


@dataclass(frozen=True, slots=True)
class Checkup:
    """All findings of one examination.

    Attributes:
        settings: Name -> value and origin of every setting; empty if they cannot be read.
    """

    findings: Sequence[Finding]
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def wrong(self) -> list[Finding]:
        """What is wrong; nothing means that the workspace is sound."""
        return [finding for finding in self.findings if finding.level == "wrong"]

    @property
    def actions(self) -> set[Action]:
        """What `--repair` has to do."""
        return {finding.repair for finding in self.findings if finding.repair}

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "ok": not self.wrong,
            "findings": [finding.as_dict() for finding in self.findings],
            "settings": {name: dict(value) for name, value in self.settings.items()},
        }


def plural(count: int, singular: str, many: str = "") -> str:
    """A count with its noun: "1 passage", "2,000 passages"."""
    return f"{count:,} {singular if count == 1 else many or singular + 's'}"


def size(count: int) -> str:
    """Bytes for a person."""
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count:,} bytes"
