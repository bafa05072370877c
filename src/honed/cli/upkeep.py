"""doctor, compact: is everything sound, and is what was deleted gone."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from honed.cli.app import Json, app, session, workspace
from honed.cli.output import columns, emit, tell

_MARKS = {"ok": "ok", "note": "note", "unfinished": "unfinished", "wrong": "WRONG"}


@app.command()
def doctor(
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Rebuild what is derived and clear away leftovers; the truth is not touched."),
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Hash every original file, and encode some passages and pictures again.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check everything against its hashes and say what to type; exit 1 if something is wrong."""
    import time

    from honed.errors import CheckFailed
    from honed.upkeep.doctor import examine
    from honed.upkeep.repair import repair as mend

    started = time.monotonic()
    done, checkup = mend(workspace(), deep=deep) if repair else ([], examine(workspace(), deep=deep))
    value: dict[str, Any] = checkup.as_dict() | {"repaired": done, "seconds": round(time.monotonic() - started, 2)}
    rows = []
    for finding in checkup.findings:
        rows.append([_MARKS[finding.level], finding.check, finding.message])
        if finding.hint and finding.level != "ok":
            rows.append(["", "", f"-> {finding.hint}"])
    emit(value, "\n".join([*(f"repaired: {line}" for line in done), columns(rows)]), as_json=as_json)
    if checkup.wrong:
        count = len(checkup.wrong)
        mendable = any(finding.repair for finding in checkup.wrong)
        hint = "honed doctor --repair mends what is derived" if mendable else checkup.wrong[0].hint
        raise CheckFailed(f"{count} {'thing is' if count == 1 else 'things are'} wrong.", hint=hint)


@app.command()
def compact(as_json: Json = False) -> None:
    """Give back space, and make sure that no file holds a word of what was deleted."""
    import time
    from dataclasses import asdict

    from honed.errors import BusyError
    from honed.upkeep.compact import compact as make_compact

    started = time.monotonic()
    with workspace().tuning(), session(write=True) as opened:
        done = make_compact(opened, tell)
    value = asdict(done) | {"held": list(done.held), "seconds": round(time.monotonic() - started, 2)}
    text = (
        f"{done.bytes_before / 1e6:.1f} MB -> {done.bytes_after / 1e6:.1f} MB: dropped {done.vectors:,} vectors, "
        f"{done.originals:,} originals, {done.changes:,} changes; {done.quotes:,} quotes taken out of reports."
    )
    emit(value, text, as_json=as_json)
    if done.held:
        raise BusyError(
            f"A running reader still holds an index with deleted words: {', '.join(done.held)}.",
            hint="honed compact again when it has moved on",
        )
