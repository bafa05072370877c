"""search, ask: the two commands that read."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from honed.cli.app import Filter, Json, app, filters, session
from honed.cli.output import emit, write

if TYPE_CHECKING:
    from honed.types import Answer, Context

Release = Annotated[str, typer.Option("--release", help="Release to use.")]


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="What to look for.")],
    k: Annotated[int, typer.Option("-k", help="How many passages.")] = 10,
    release: Release = "live",
    only: Filter = None,
    as_json: Json = False,
) -> None:
    """Find passages."""
    from honed.release.open import open_release

    with session() as opened:
        retriever = open_release(opened.workspace, opened.catalog, opened.settings, release)
        started = time.monotonic()
        found = retriever.search(text, k, filters=filters(only))
        spent = 1000 * (time.monotonic() - started)
    hits = [hit(context) for context in found]
    lines = [
        f"{context.rank:>2}. {context.passage.context or context.external_id}  ({context.score:.3f})  {_origin(context)}\n"
        f"    {' '.join(context.passage.text.split())[:200]}"
        for context in found
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
    from honed.models.generators.choose import load_generator
    from honed.release.open import open_release

    with session() as opened:
        settings, root = opened.settings, opened.workspace.root
        generator = load_generator(settings.generator, threads=settings.threads, root=root)
        retriever = open_release(opened.workspace, opened.catalog, opened.settings, release)
        started = time.monotonic()
        shown = 0
        for answer in ask_stream(text, retriever, generator, k=k, filters=filters(only)):
            if not as_json:
                write(answer.text[shown:])
                shown = len(answer.text)
        spent = 1000 * (time.monotonic() - started)
    value = {
        "release": retriever.release,
        "answer": answer.text,
        "refused": answer.refused,
        "citations": [{"passage": one.passage, "quote": one.quote} for one in answer.citations],
        "contexts": [hit(context) for context in answer.contexts],
        "generator": answer.generator,
        "ms": round(spent, 1),
    }
    emit(value, _sources(answer), as_json=as_json)


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
        quote = next(one.quote for one in answer.citations if one.passage == passage)
        lines.append(f'[{number}] {context.passage.context or context.external_id}: "{quote}"')
    return "\n".join(lines)
