"""imagine: the command that draws."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from honed.cli.app import Json, app, session
from honed.cli.output import emit, tell


@app.command()
def imagine(
    text: Annotated[str, typer.Argument(help="What to draw.")] = "",
    style: Annotated[str, typer.Option(help="A style that the generator was trained on.")] = "",
    reference: Annotated[list[Path] | None, typer.Option(help="Draw from this picture; may be repeated.")] = None,
    n: Annotated[int, typer.Option("-n", help="How many pictures.")] = 4,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the pictures.")] = Path("imagined"),
    seed: Annotated[int, typer.Option(help="Another seed draws other pictures.")] = 0,
    release: Annotated[str, typer.Option("--release", help="Release to use.")] = "live",
    as_json: Json = False,
) -> None:
    """Draw new pictures from the pictures that are retrieved for a text. Each file says what it was drawn from."""
    from honed.imagine import Order
    from honed.imagine import imagine as draw

    order = Order(text, style, tuple(reference or ()), n, seed)
    started = time.monotonic()
    with session() as opened:
        made = draw(opened, order, out, release=release, done=lambda path: tell(f"drawn        {path}"))
    references = [
        {
            "image": reference.image,
            "document": reference.document,
            "title": reference.title,
            "source": reference.source,
            "score": reference.score,
        }
        for reference in made.references
    ]
    value = {
        "release": made.release,
        "prompt": text,
        "style": style,
        "model": made.model,
        "references": references,
        "images": [
            {"file": str(drawing.file), "seed": drawing.seed, "references": list(drawing.references)}
            for drawing in made.drawings
        ],
        "ms": round(1000 * (time.monotonic() - started), 1),
    }
    lines = [str(drawing.file) for drawing in made.drawings]
    lines += [
        f"from {reference.title or reference.document}  [{reference.document or reference.source}]"
        for reference in made.references
    ]
    emit(value, "\n".join(lines), as_json=as_json)
