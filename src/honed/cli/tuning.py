"""tune, evaluate, compare, report: what gets better, and the proof."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from honed.cli.app import Json, app, session, workspace
from honed.cli.output import columns, duration, emit, tell

if TYPE_CHECKING:
    from collections.abc import Callable

    from honed.session import Session


class Role(StrEnum):
    """What a turn tunes."""

    RETRIEVER = "retriever"
    IMAGE_RETRIEVER = "image-retriever"
    TEXT_TO_IMAGE = "text-to-image"
    IMAGE_GENERATOR = "image-generator"


class Searching(StrEnum):
    """What is measured: the roles that find something."""

    RETRIEVER = "retriever"
    IMAGE_RETRIEVER = "image-retriever"


Metric = Annotated[
    str,
    typer.Option(
        help="What decides: ndcg@K, recall@K, mrr@K; recall@K, map for pictures. Default: the role's setting."
    ),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Test on the questions alone that nobody has looked at.")]
Searched = Annotated[Searching, typer.Option(help="What is measured: search over text, or over pictures.")]


@app.command()
def tune(
    budget: Annotated[str, typer.Option(help="Time for everything: 90s, 10m, 2h.")] = "10m",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
    require_gain: Annotated[bool, typer.Option("--require-gain", help="Exit with 1 if no gain is proven.")] = False,
    role: Annotated[
        Role, typer.Option(help="What learns: text search, picture search, words for pictures, or what draws.")
    ] = Role.RETRIEVER,
    metric: Metric = "",
    fresh: Fresh = False,
    as_json: Json = False,
) -> None:
    """Make candidates, choose one on dev, test it once on held-out questions, and release it only if it is proven better."""
    from honed.errors import CheckFailed

    seconds = duration(budget)
    turn_once, result = _role(role)
    shown: list[str] = []

    def show_plan(lines: list[str]) -> bool:
        shown.extend(lines)
        if not dry_run:
            for line in lines:
                tell(line)
        return not dry_run

    with session() as opened:  # a turn takes the locks that it needs, when it needs them
        opened = _deciding(opened, role.value, metric, fresh=fresh)
        turn = turn_once(opened, budget=seconds, tell=tell, show_plan=show_plan)
        if turn is None:
            emit({"plan": shown}, "\n".join(shown), as_json=as_json)
            return
        from honed.summary import text

        emit(result(turn), text(opened, turn), as_json=as_json)
        if require_gain and not turn.release:
            raise CheckFailed("No gain was proven.", hint="the report says why: honed report")


def _deciding(opened: Session, role: str, metric: str, *, fresh: bool) -> Session:
    """The session with what the command line says of the metric and the questions that decide."""
    from dataclasses import replace

    from honed.config import changed
    from honed.errors import UsageError

    values: dict[str, Any] = {"test": "fresh"} if fresh else {}
    if metric and role == Role.IMAGE_GENERATOR:
        raise UsageError("Drawings are judged by their likeness alone.", hint="leave --metric out")
    if metric:
        values[f"metric_{role.replace('-', '_')}"] = metric
    return replace(opened, settings=changed(opened.settings, **values)) if values else opened


def _role(role: Role) -> tuple[Callable[..., Any], Callable[[Any], dict[str, Any]]]:
    """One turn of a role, and its result as JSON; what they need is imported here."""
    if role is Role.IMAGE_RETRIEVER:
        from honed.imaging.retriever import tune_images
        from honed.imaging.summary import image_result

        return tune_images, image_result
    if role is Role.IMAGE_GENERATOR:
        from honed.imaging.generator import tune_generator
        from honed.imaging.generator_summary import generator_result

        return tune_generator, generator_result
    if role is Role.TEXT_TO_IMAGE:
        from honed.imaging.summary import words_result
        from honed.imaging.words import tune_words

        return tune_words, words_result
    from honed.loop import tune as tune_text
    from honed.summary import result

    return tune_text, result


@app.command()
def evaluate(
    split: Annotated[str, typer.Option(help="train, dev or test.")] = "test",
    system: Annotated[
        str, typer.Option(help="bm25, dense, hybrid, or untuned for pictures; live, or a release such as r2.")
    ] = "live",
    role: Searched = Searching.RETRIEVER,
    as_json: Json = False,
) -> None:
    """Measure a system on a split, through the same search that users get."""
    if role is Searching.IMAGE_RETRIEVER:
        from honed.imaging.measure import measure_images as measure
    else:
        from honed.measure import measure_system as measure
    with session() as opened:
        measured = measure(opened, system, split)
    values = measured["metrics"]
    rows = [["", *values], [f"{system} ({measured['release']})", *(f"{value:.4f}" for value in values.values())]]
    asked = "pictures" if role is Searching.IMAGE_RETRIEVER else "questions"
    emit(measured, columns(rows) + f"\n{measured['queries']} {asked} of {split}", as_json=as_json)


@app.command()
def compare(
    base: Annotated[str, typer.Argument(help="bm25, dense, hybrid, or untuned for pictures; live or a release.")],
    candidate: Annotated[str, typer.Argument(help="As BASE.")],
    split: Annotated[str, typer.Option(help="train, dev or test.")] = "test",
    gate: Annotated[bool, typer.Option("--gate", help="Exit with 1 unless the candidate is proven better.")] = False,
    role: Searched = Searching.RETRIEVER,
    metric: Metric = "",
    fresh: Fresh = False,
    as_json: Json = False,
) -> None:
    """Compare two systems query by query, with interval, p and the gate's verdict."""
    import json

    from honed.errors import CheckFailed, UsageError
    from honed.evaluate.wording import metric_name, plural

    if role is Searching.IMAGE_RETRIEVER:
        from honed.imaging.measure import compare_images as comparing
    else:
        from honed.measure import compare_systems as comparing
    if fresh and split != "test":
        raise UsageError("Only looks at test are counted, so only test has fresh questions.", hint="leave --split out")
    with session(write=split == "test") as opened:
        opened = _deciding(opened, role.value, metric, fresh=fresh)
        comparison, verdict = comparing(opened, base, candidate, split)
    primary = comparison.primary
    name = metric_name(comparison.metric)
    asked = "pictures" if role is Searching.IMAGE_RETRIEVER else "titles" if comparison.proxy else "questions"
    low, high = primary.ci95
    text = "\n".join(
        [
            f"{base}: {name} {primary.base:.3f}    {candidate}: {name} {primary.candidate:.3f}",
            f"difference {primary.delta:+.3f}, 95% CI {low:+.3f}..{high:+.3f}, p {primary.p:.3g}, "
            f"{primary.queries} {asked} in {plural(primary.clusters, 'cluster')}",
            f"VERDICT: {verdict.text.upper()}",
            *verdict.reasons,
        ]
    )
    value = {
        "verdict": verdict.text,
        "proxy": verdict.proxy,
        "reasons": list(verdict.reasons),
        "comparison": json.loads(comparison.to_json()),
    }
    emit(value, text, as_json=as_json)
    if gate and not verdict.proven:
        raise CheckFailed(f"{candidate} is not proven better than {base}.")


@app.command()
def report(
    run: Annotated[str, typer.Argument(help="Run; default: the newest.")] = "",
    as_json: Json = False,
) -> None:
    """Show where the report of a run lies, and its result in short."""
    from honed.errors import MissingError
    from honed.workspace import read_json

    folders = sorted(path for path in workspace().runs.glob("*") if (path / "result.json").is_file())
    chosen = [path for path in folders if not run or path.name == run]
    if not chosen:
        names = ", ".join(path.name for path in folders) or "none yet"
        raise MissingError(f"There is no finished run {run}".rstrip() + ".", hint=f"finished runs: {names}")
    value = read_json(chosen[-1] / "result.json")
    page = Path(chosen[-1] / "report.html")
    text = "\n".join([f"VERDICT: {value['verdict'].upper()}", *value["reasons"], f"Report: {page}"])
    emit(value | {"report": str(page)}, text, as_json=as_json)
