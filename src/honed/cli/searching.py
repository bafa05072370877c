"""search, ask: the two commands that read."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from honed.cli.app import Filter, Json, app, filters, session
from honed.cli.output import emit, write

if TYPE_CHECKING:
    from honed.answer.pictures import ImageHit
    from honed.types import Answer, Context, ImageRecord


class Kind(StrEnum):
    """The kind of hit that a search returns."""

    TEXT = "text"
    IMAGE = "image"


Release = Annotated[str, typer.Option("--release", help="Release to use.")]


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="What to look for.")] = "",
    k: Annotated[int, typer.Option("-k", help="How many passages or pictures.")] = 10,
    image: Annotated[Path | None, typer.Option(help="Find pictures like this one.")] = None,
    kind: Annotated[Kind, typer.Option(help="What to find by words.")] = Kind.TEXT,
    release: Release = "live",
    only: Filter = None,
    as_json: Json = False,
) -> None:
    """Find passages, or pictures: by words with --kind image, by a picture with --image FILE."""
    if image is not None or kind is Kind.IMAGE:
        _search_pictures(text, k, image, release, only, as_json=as_json)
        return
    from honed.release.open import open_release

    with session() as opened:
        retriever = open_release(opened.workspace, opened.catalog, opened.settings, release)
        started = time.monotonic()
        contexts = retriever.search(text, k, filters=filters(only))
        spent = 1000 * (time.monotonic() - started)
    hits = [hit(context) for context in contexts]
    lines = [
        f"{context.rank:>2}. {context.passage.context or context.external_id}  ({context.score:.3f})  {_origin(context)}\n"
        f"    {' '.join(context.passage.text.split())[:200]}"
        for context in contexts
    ]
    value = {"release": retriever.release, "hits": hits, "ms": round(spent, 1)}
    emit(value, "\n".join(lines) or "Nothing was found.", as_json=as_json)


@app.command()
def ask(
    text: Annotated[str, typer.Argument(help="The question.")],
    k: Annotated[int, typer.Option("-k", help="How many passages the answer may draw on.")] = 5,
    release: Release = "live",
    only: Filter = None,
    as_json: Json = False,
) -> None:
    """Answer a question from the documents. Every sentence cites a passage; what they do not say is refused."""
    from honed.answer.pipeline import ask_stream
    from honed.catalog import images
    from honed.models.generators.choose import load_generator
    from honed.release.open import open_release

    with session() as opened:
        settings, root = opened.settings, opened.workspace.root
        generator = load_generator(settings.generator, threads=settings.threads, root=root)
        retriever = open_release(opened.workspace, opened.catalog, opened.settings, release)
        started = time.monotonic()
        written = 0
        for answer in ask_stream(text, retriever, generator, k=k, filters=filters(only)):
            if not as_json:
                write(answer.text[written:])
                written = len(answer.text)
        spent = 1000 * (time.monotonic() - started)
        pictures = images.of_passages(opened.catalog, [citation.passage for citation in answer.citations])
        files = {picture.id: str(opened.workspace.blob(picture.media)) for picture in pictures}
    value = {
        "release": retriever.release,
        "answer": answer.text,
        "refused": answer.refused,
        "citations": [{"passage": citation.passage, "quote": citation.quote} for citation in answer.citations],
        "contexts": [hit(context) for context in answer.contexts],
        "images": [
            {
                "image": picture.id,
                "passage": picture.passage,
                "title": picture.caption,
                "page": picture.page,
                "file": files[picture.id],
            }
            for picture in pictures
        ],
        "generator": answer.generator,
        "ms": round(spent, 1),
    }
    lines = [_sources(answer), *(f"picture {picture.caption}: {files[picture.id]}" for picture in pictures)]
    emit(value, "\n".join(line for line in lines if line), as_json=as_json)


def _search_pictures(
    text: str, k: int, file: Path | None, release: str, only: list[str] | None, *, as_json: bool
) -> None:
    from honed.errors import UsageError
    from honed.release.open import open_image_release

    if file is not None and text:
        raise UsageError("A text and a picture cannot be searched with at once.", hint="leave one of them out")
    wanted = filters(only)
    with session() as opened:
        if file is not None:
            from honed.ingest.describe import look_at_file
            from honed.ingest.rendering import as_image

            look = look_at_file(file, required=opened.settings.sandbox_required)
        retriever = open_image_release(
            opened.workspace, opened.catalog, opened.settings, release, by_image=file is not None
        )
        started = time.monotonic()
        if file is not None:
            hits = retriever.by_image(as_image(look.picture), look.media, look.phash, k, filters=wanted)
        else:
            hits = retriever.by_text(text, k, filters=wanted)
        spent = 1000 * (time.monotonic() - started)
    lines = [
        f"{picture.rank:>2}. {picture.image.caption or picture.image.external_id}  "
        f"({picture.score:.3f}, {picture.match})  {_place(picture.image)}"
        for picture in hits
    ]
    value = {"release": retriever.release, "hits": [image_hit(picture) for picture in hits], "ms": round(spent, 1)}
    emit(value, "\n".join(lines) or "Nothing was found.", as_json=as_json)


def image_hit(retrieved: ImageHit) -> dict[str, Any]:
    """A retrieved picture as the JSON that scripts rely on."""
    image = retrieved.image
    return {
        "rank": retrieved.rank,
        "image": image.id,
        "passage": image.passage,
        "document": image.external_id,
        "score": round(retrieved.score, 4),
        "match": retrieved.match,
        "title": image.caption,
        "kind": image.kind,
        "page": image.page,
        "width": image.width,
        "height": image.height,
        "media": image.media,
        "source": image.source,
    }


def _place(image: ImageRecord) -> str:
    """The document's id, with the page where there is one."""
    return f"[{image.external_id}{f', page {image.page}' if image.page else ''}]"


def _origin(context: Context) -> str:
    """The document's id, with the page where there is one."""
    return f"[{context.external_id}{f', page {context.passage.page}' if context.passage.page else ''}]"


def hit(context: Context) -> dict[str, Any]:
    """A retrieved passage as the JSON that scripts rely on."""
    return {
        "rank": context.rank,
        "passage": context.passage.id,
        "document": context.external_id,
        "score": round(context.score, 4),
        "title": context.passage.context,
        "text": context.passage.text,
        "source": context.source,
    }


def _sources(answer: Answer) -> str:
    """The numbered sources below an answer."""
    from honed.answer.cite import numbered

    if answer.refused:
        return ""
    named = {context.passage.id: context for context in answer.contexts}
    lines = [""]
    for passage, number in numbered(answer.citations).items():
        context = named[passage]
        quote = next(citation.quote for citation in answer.citations if citation.passage == passage)
        lines.append(f'[{number}] {context.passage.context or context.external_id}: "{quote}"')
    return "\n".join(lines)
