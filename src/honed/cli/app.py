"""The commands, one function each, thin: parse, open the workspace, call a room, show what came back."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from honed.session import Session
    from honed.workspace import Workspace

app = typer.Typer(
    help="Honed turns a RAG system into a specialist in your domain, and proves that it got better.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_chosen: dict[str, Path | None] = {"workspace": None}

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Filter = Annotated[
    list[str] | None,
    typer.Option("--filter", "-f", help="Only passages or pictures of documents with this metadata: KEY=VALUE."),
]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"honed {version('honed')}")
        raise typer.Exit


@app.callback()
def options(
    workspace: Annotated[
        Path | None, typer.Option("-w", "--workspace", help="Workspace; default: the nearest folder with honed.toml.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Options of every command."""
    del debug, version  # main() reads the one, its callback the other
    _chosen["workspace"] = workspace


def workspace() -> Workspace:
    """The workspace that was named, or the nearest one upwards."""
    from honed.workspace import at, find

    return at(_chosen["workspace"]) if _chosen["workspace"] else find(Path.cwd())


@contextmanager
def session(*, write: bool = False, create: bool = False) -> Iterator[Session]:
    """Open the workspace, with its writer lock if the command changes anything."""
    from contextlib import nullcontext

    from honed.catalog import splits
    from honed.session import open_session

    place = workspace()
    with place.writing() if write else nullcontext(), open_session(place, create=create) as opened:
        if write and splits.pictures_owed(opened.catalog):  # before anything comes: new names would change old draws
            from honed.dataset.images import fix_picture_splits

            fix_picture_splits(opened.catalog, seed=opened.settings.seed)
        yield opened


def filters(given: list[str] | None) -> list[tuple[str, str]]:
    """`--filter KEY=VALUE` options as pairs."""
    from honed.errors import UsageError

    pairs = []
    for text in given or []:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise UsageError(
                f"'{text}' is not a filter.", hint="write --filter KEY=VALUE, for example --filter lang=en"
            )
        pairs.append((key, value))
    return pairs
