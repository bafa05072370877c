"""releases, promote, rollback, export: what is live, and how it leaves the house."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from honed.cli.app import Json, app, session
from honed.cli.output import columns, emit
from honed.cli.tuning import Searched, Searching

export_app = typer.Typer(help="Write a model or rankings in formats that other tools read.", no_args_is_help=True)
app.add_typer(export_app, name="export")

Reason = Annotated[str, typer.Option(help="Why; kept in the audit log.")]


@app.command()
def releases(
    as_json: Json = False,
    audit: Annotated[bool, typer.Option("--audit", help="Also list every change of the live release.")] = False,
) -> None:
    """List the releases; the live one is marked."""
    from honed.catalog import history

    with session() as opened:
        rows = history.releases(opened.catalog)
        log = history.audit(opened.catalog) if audit else []
    value = {
        "releases": [
            {"release": row.name, "live": row.live, "created": row.created, "what": row.note, "run": row.run}
            for row in rows
        ],
        **({"audit": log} if audit else {}),
    }
    lines = [["*" if row.live else " ", row.name, row.created, row.note] for row in rows]
    lines += [["", str(entry["at"]), str(entry["action"]), f"r{entry['after']}: {entry['reason']}"] for entry in log]
    emit(value, columns(lines) or "There is no release yet.", as_json=as_json)


@app.command()
def promote(
    release: Annotated[str, typer.Argument(help="Release to make live, such as r2.")],
    reason: Reason = "by hand",
    as_json: Json = False,
) -> None:
    """Make a release live, after checking every byte of it."""
    from honed.loop import make_live

    with session(write=True) as opened:
        name = make_live(opened, release, reason=reason)
    emit({"release": name}, f"{name} is live.", as_json=as_json)


@app.command()
def rollback(reason: Reason = "rollback", as_json: Json = False) -> None:
    """Go back to the release that was live before."""
    from honed.loop import make_live

    with session(write=True) as opened:
        name = make_live(opened, None, reason=reason)
    emit({"release": name}, f"{name} is live.", as_json=as_json)


@export_app.command("model")
def export_model(
    folder: Annotated[Path, typer.Argument(help="Folder that does not exist yet.")],
    release: Annotated[str, typer.Option(help="Release.")] = "live",
    as_json: Json = False,
) -> None:
    """Write the embedder as a folder that sentence-transformers loads, with the tuned image side beside it."""
    from honed.release.export import export_embedder

    with session() as opened:
        name = export_embedder(opened.workspace, opened.catalog, release, folder)
    text = f"{folder} holds the embedder of {name}. Load it with sentence_transformers.SentenceTransformer('{folder}')."
    emit({"release": name, "folder": str(folder)}, text, as_json=as_json)


@export_app.command("rankings")
def export_rankings(
    file: Annotated[Path, typer.Argument(help="TREC run file to write.")],
    split: Annotated[str, typer.Option(help="train, dev or test.")] = "test",
    system: Annotated[
        str, typer.Option(help="bm25, dense, fusion or rrf, untuned for pictures; live or a release.")
    ] = "live",
    k: Annotated[int, typer.Option("-k", help="Documents for each question, or pictures for each picture.")] = 100,
    role: Searched = Searching.RETRIEVER,
    as_json: Json = False,
) -> None:
    """Write a TREC run file that any evaluation tool reads."""
    from honed.formats import write_trec

    with session() as opened:
        if role is Searching.IMAGE_RETRIEVER:
            from honed.imaging.measure import image_rankings

            found = image_rankings(opened, system, split, k)
        else:
            from honed.measure import rankings, split_task

            task, name = split_task(opened, split)
            found = rankings(opened, system, task, name, k)
    write_trec(file, found, f"honed-{system}")
    asked = "pictures" if role is Searching.IMAGE_RETRIEVER else "questions"
    emit({"file": str(file), "queries": len(found)}, f"{file}: {len(found)} {asked}.", as_json=as_json)
