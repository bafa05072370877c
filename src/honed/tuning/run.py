"""One tuning run as plain calls: snapshot, plan, stages, choice on dev, held-out test, gate, release, report.

Read `tune` from top to bottom; it is the same for every role. "Keep what you have" is a normal outcome: nothing goes live
that the test does not show to be better.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from honed.catalog import Catalog, history
from honed.catalog.moment import Moment, moment, since
from honed.evaluate.comparison import Comparison, Trial, compare
from honed.evaluate.gate import GateSettings, decide
from honed.evaluate.ledger import TestSet
from honed.evaluate.report import write_report
from honed.evaluate.significance import judged
from honed.release.build import Shipment, build, consequences, live_manifest
from honed.runs import Run, look_at, looks_ahead, open_run
from honed.session import Session
from honed.settle import drop_unused_vectors, settle
from honed.tuning.candidate import cheapest
from honed.tuning.plan import Clock
from honed.tuning.results import Finished, report_data, result
from honed.tuning.role import Baseline, Evaluation, Progress, Role, Snapshot, deciding_metric
from honed.tuning.stages import run_stages
from honed.workspace import write_atomic, write_json


def tune(
    session: Session,
    role: Role[Any, Any],
    *,
    budget: float,
    tell: Progress,
    show_plan: Callable[[list[str]], bool] = lambda _: True,
) -> Finished | None:
    """One tuning run. It excludes every other run on its workspace; `add`, `label` and search go on.

    Args:
        budget: Seconds for everything; a quarter is kept for the test, the release and the report.
        tell: Told one line of progress at a time.
        show_plan: Given the plan as lines; returns whether to go on (`--dry-run` returns False).

    Returns:
        What happened, or None if the plan was only shown.

    Raises:
        UsageError: There is nothing to learn from or to measure with, or another release went live while this ran.
        BusyError: Another process is tuning or changing the workspace.
        ImportError: A package that the role trains with is not installed.
    """
    for package in role.packages:  # what is missing is said before anything is read
        import_module(package)
    with session.workspace.tuning():
        return _tuned(session, role, Clock.start(budget), tell, show_plan)


def _tuned(
    session: Session, role: Role[Any, Any], clock: Clock, tell: Progress, show_plan: Callable[[list[str]], bool]
) -> Finished | None:
    metric = deciding_metric(session, role)
    notes, snapshot, start = read(session, role, metric, tell)
    context = role.prepare(session, snapshot, tell)
    experiment = {"budget": clock.budget, **role.experiment(context)}
    tell(ahead(session, snapshot.test, role.name, experiment))
    tell(baseline_line(snapshot.baseline))
    plan = role.plan(context, clock)
    if not show_plan(plan.lines()):
        return None
    run = open_run(session.workspace, session.catalog, role.name, experiment)
    if run.resumed:
        tell(f"going on with {run.id}")
    plan = plan.kept(run.folder)
    candidates = run_stages(role, context, plan, run.folder, clock, tell)
    chosen = candidates[cheapest([candidate.dev for candidate in candidates], snapshot.dev_clusters)]
    history.check_live(session.catalog, start.live)  # before a look at the test is spent
    evaluation = role.evaluate(context, plan, chosen)
    trial = Trial(sum(candidate.tried for candidate in candidates), seed=session.settings.seed)
    evaluation, trial = looked_at(session, snapshot.test, evaluation, trial, (run.id, experiment))
    comparison, gate = compared(evaluation, metric, trial), GateSettings.of(session.settings)
    verdict = decide(comparison, gate, evaluation.checks(gate, trial), criterion=role.criterion, saved=evaluation.saved)
    finished = Finished(
        role=role.name,
        run=run,
        snapshot=snapshot,
        candidates=tuple(candidates),
        chosen=chosen,
        evaluation=evaluation,
        comparison=comparison,
        verdict=verdict,
        gate=gate,
        card=role.data_card(context, chosen),
        seconds=clock.spent,
        budget=clock.budget,
        notes=tuple(dict.fromkeys((*notes, *snapshot.notes, *meanwhile(session.catalog, start)))),
    )

    def shipment() -> Shipment:
        parts = role.ship(context, chosen, emptied(run.folder / "shipment"))
        return Shipment(f"{role.name}: {chosen.what}", parts, lineage_of(run, comparison, start.live))

    with session.workspace.writing(waiting=tell):
        return close(session, finished, shipment() if finished.verdict.proven else None, start.live)


def read(
    session: Session, role: Role[Any, Any], metric: str, tell: Progress
) -> tuple[tuple[str, ...], Snapshot, Moment]:
    """Bring the workspace up to date and read the data once; what could not be proven ends here.

    Returns:
        Notes of what was brought up to date, the data, and what the catalog held when it was read.
    """
    with session.workspace.writing():
        notes = settle(session, tell)
        snapshot = role.snapshot(session, metric, tell)
        start = moment(session.catalog)
    looks_ahead(session.catalog, snapshot.test, role.name)
    return notes, snapshot, start


def ahead(session: Session, test: TestSet, kind: str, experiment: dict[str, Any]) -> str:
    """What is known of a test set before anything is tuned for it, in one line.

    Raises:
        UsageError: Nothing could be proven on it.
    """
    looks = looks_ahead(session.catalog, test, kind, experiment)
    fresh = looks.fresh & looks.judged
    return (
        f"test         {int(looks.deciding.sum()):,} {'titles' if test.proxy else 'questions'} decide by {test.metric}, "
        f"look {looks.reads}; {int(fresh.sum()):,} in {len(np.unique(test.clusters[fresh])):,} clusters were never looked at"
    )


def baseline_line(baseline: Baseline) -> str:
    """What has to be beaten, in one line, with its dev mean where one was measured."""
    mean = baseline.dev.get(baseline.name)
    return f"baseline     {'' if mean is None else f'dev {mean:.3f}  '}{baseline.name}"


def looked_at(
    session: Session, test: TestSet, evaluation: Evaluation, trial: Trial, looking: tuple[str, dict[str, Any]]
) -> tuple[Evaluation, Trial]:
    """Count the look at a test set before anybody sees a result; queries that do not decide lose their scores.

    Args:
        looking: Which run looks, and all that it depends on.

    Raises:
        UsageError: Nothing is judged; then no look is counted.
    """
    base, candidate, questions = evaluation.base, evaluation.candidate, evaluation.questions
    judged(base.scores[test.metric], candidate.scores[test.metric], questions.clusters)
    scored = ~np.isnan(base.scores[test.metric])  # a plan may leave some out, which are not looked at then
    test = replace(test, judged=scored if test.judged is None else test.judged & scored)
    looks = look_at(session.catalog, test, *looking)
    kept = replace(
        evaluation,
        base=replace(base, scores=looks.scores(base.scores)),
        candidate=replace(candidate, scores=looks.scores(candidate.scores)),
        others=tuple(replace(system, scores=looks.scores(system.scores)) for system in evaluation.others),
    )
    return kept, replace(trial, test_reads=looks.reads, general=evaluation.general, **looks.trial())


def compared(evaluation: Evaluation, metric: str, trial: Trial) -> Comparison:
    """The comparison query by query, with all that weighs on it."""
    comparison = compare(evaluation.base, evaluation.candidate, evaluation.questions, metric=metric, trial=trial)
    return replace(comparison, slices=(*comparison.slices, *evaluation.slices(trial)))


def lineage_of(run: Run, comparison: Comparison, parent: int | None) -> dict[str, Any]:
    """How a release came to be: its run, the release before it, and the proof."""
    primary = comparison.primary
    proof = {"base": primary.base, "candidate": primary.candidate, "ci95": list(primary.ci95), "p": primary.p}
    return {"run": run.id, "parent": f"r{parent}", "test": {"metric": comparison.metric, **proof}}


def meanwhile(catalog: Catalog, start: Moment) -> tuple[str, ...]:
    """What changed since the snapshot, as a sentence for the verdict; nothing if nothing did."""
    news = since(catalog, start)
    counts = (
        (news.came, "document", "came"),
        (news.went, "document", "went"),
        (news.labels, "label", "came or changed"),
    )
    parts = [f"{count:,} {what}{'' if count == 1 else 's'} {verb}" for count, what, verb in counts if count]
    if not parts:
        return ()
    return (f"{', '.join(parts)} while this ran; the test was of the state at {start.at}.",)


def emptied(folder: Path) -> Path:
    """A folder with nothing in it, whatever a run that was killed had left there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def close(session: Session, finished: Finished, shipment: Shipment | None, expected: int | None) -> Finished:
    """Write comparison and report; then end the run and, if it is proven, make its release live, in one commit.

    A kill before the commit leaves a run that goes on; a kill after it leaves one that is over. In between there is
    nothing: a release without its run's end would be tested once more, against itself. The caller holds the writer lock.

    Args:
        shipment: What a proven candidate's release consists of; its space is indexed already.
        expected: Number of the release that the run was compared with.

    Raises:
        UsageError: Another release went live while this ran. The run is kept as it is.
    """
    if shipment:
        history.check_live(session.catalog, expected)
        void = consequences(live_manifest(session.workspace, session.catalog).parts, shipment)
        name = f"r{history.next_release_number(session.catalog)}"
        finished = replace(finished, release=name, notes=(*finished.notes, *void))
    folder, outcome = finished.run.folder, result(finished)
    write_atomic(folder / "comparison.json", finished.comparison.to_json().encode())
    write_report(report_data(session, finished), folder / "report.html")

    def end() -> None:
        history.end_run(session.catalog, finished.run.id, "done", outcome)

    if shipment:
        reason = f"proven: {100 * finished.comparison.primary.delta:+.1f} points on test"
        build(session.workspace, session.catalog, shipment, expected=expected, reason=reason, also=end)
    else:
        with session.catalog.transaction():
            end()
    # After the commit: before it, a kill would leave a file that calls a release live which is not. `doctor --repair`
    # writes it from the catalog if the kill comes here.
    write_json(folder / "result.json", outcome)
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
    drop_unused_vectors(session)
    return finished
