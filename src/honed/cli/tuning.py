"""tune, evaluate, compare, report: what gets better, and the proof."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from honed.cli.app import Json, app, session, workspace
from honed.cli.output import columns, duration, emit, tell

if TYPE_CHECKING:
    from honed.session import Session

RoleName = Annotated[
    str, typer.Option("--role", help="retriever, image-retriever, text-to-image, image-generator, or an installed one.")
]
ROLE = "retriever"
SYSTEMS = "live, a release such as r2, or an untuned system: bm25, dense, fusion, rrf, default; untuned for pictures."

Metric = Annotated[
    str,
    typer.Option(help="What decides: ndcg@K, recall@K, mrr@K; recall@K, map for pictures. Default: setting, or role."),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Test on the questions alone that nobody has looked at.")]


@app.command()
def tune(
    budget: Annotated[str, typer.Option(help="Time for everything: 90s, 10m, 2h.")] = "10m",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
    require_gain: Annotated[bool, typer.Option("--require-gain", help="Exit with 1 if no gain is proven.")] = False,
    role: RoleName = ROLE,
    metric: Metric = "",
    fresh: Fresh = False,
    as_json: Json = False,
) -> None:
    """Make candidates, choose one on dev, test it once on held-out questions, and release it only if it is proven better."""
    from honed.errors import CheckFailed
    from honed.tuning import registry, run

    seconds, tuned = duration(budget), registry.load_role(role)
    plan: list[str] = []

    def show_plan(lines: list[str]) -> bool:
        plan.extend(lines)
        if not dry_run:
            for line in lines:
                tell(line)
        return not dry_run

    with session() as opened:  # a run takes the locks that it needs, when it needs them
        opened = _deciding(opened, role, metric, fresh=fresh)
        finished = run.tune(opened, tuned, budget=seconds, tell=tell, show_plan=show_plan)
        if finished is None:
            emit({"plan": plan}, "\n".join(plan), as_json=as_json)
            return
        from honed.tuning.results import result, text

        emit(result(finished), text(opened, finished), as_json=as_json)
        if require_gain and not finished.release:
            raise CheckFailed("No gain was proven.", hint="the report says why: honed report")


@app.command()
def evaluate(
    split: Annotated[str, typer.Option(help="train, dev or test.")] = "test",
    system: Annotated[str, typer.Option(help=SYSTEMS)] = "live",
    role: RoleName = ROLE,
    as_json: Json = False,
) -> None:
    """Measure a system on a split, through the same search that users get."""
    from honed.tuning.measure import measure
    from honed.tuning.registry import load_role

    with session() as opened:
        measured = measure(opened, load_role(role), system, split)
    values = measured["metrics"]
    rows = [["", *values], [f"{system} ({measured['release']})", *(f"{value:.4f}" for value in values.values())]]
    emit(measured, columns(rows) + f"\n{measured['queries']} {measured['unit']} of {split}", as_json=as_json)


@app.command()
def compare(
    base: Annotated[str, typer.Argument(help=SYSTEMS)],
    candidate: Annotated[str, typer.Argument(help="As BASE.")],
    split: Annotated[str, typer.Option(help="train, dev or test.")] = "test",
    gate: Annotated[bool, typer.Option("--gate", help="Exit with 1 unless the candidate is proven better.")] = False,
    role: RoleName = ROLE,
    metric: Metric = "",
    fresh: Fresh = False,
    as_json: Json = False,
) -> None:
    """Compare two systems query by query, with interval, p and the gate's verdict."""
    import json

    from honed.errors import CheckFailed, UsageError
    from honed.evaluate.wording import metric_name, plural
    from honed.tuning.measure import compare_systems
    from honed.tuning.registry import load_role

    if fresh and split != "test":
        raise UsageError("Only looks at test are counted, so only test has fresh questions.", hint="leave --split out")
    with session(write=split == "test") as opened:
        opened = _deciding(opened, role, metric, fresh=fresh)
        comparison, verdict = compare_systems(opened, load_role(role), base, candidate, split)
    primary, name = comparison.primary, metric_name(comparison.metric)
    low, high = primary.ci95
    text = "\n".join(
        [
            f"{base}: {name} {primary.base:.3f}    {candidate}: {name} {primary.candidate:.3f}",
            f"difference {primary.delta:+.3f}, 95% CI {low:+.3f}..{high:+.3f}, p {primary.p:.3g}, "
            f"{plural(primary.queries, 'query', 'queries')} in {plural(primary.clusters, 'cluster')}",
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


def _deciding(opened: Session, role: str, metric: str, *, fresh: bool) -> Session:
    """The session with what the command line says of the metric and the questions that decide."""
    from dataclasses import replace

    settings = opened.settings
    if metric:
        settings = replace(settings, metrics={**settings.metrics, role: metric})
    return replace(opened, settings=replace(settings, test="fresh") if fresh else settings)
