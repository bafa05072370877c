"""One turn of the whole cycle as plain calls: data, baseline, plan, rungs, choice, sealed test, gate, release, report.

Read `tune` from top to bottom. "Keep what you have" is a normal outcome: nothing goes live that the test does not show to
be better.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from honed.catalog import documents, history, images, judgements
from honed.dataset import prepare
from honed.dataset.task import load_task
from honed.dataset.widen import widen_dev
from honed.errors import HonedError, MissingError, UsageError
from honed.evaluate.board import Board
from honed.evaluate.comparison import Comparison, General
from honed.evaluate.exam import Entrant, Exam, sit
from honed.evaluate.gate import Check, GateSettings, Verdict, decide
from honed.evaluate.probe import general_probe
from honed.evaluate.report import ReportData, write_report
from honed.evaluate.untuned import PLAIN, strongest, system_means
from honed.ingest.neardup import near_duplicates
from honed.release.build import build, live_manifest, manifest_of, manifests, previous, promote, row_of
from honed.release.first import ensure_release
from honed.release.manifest import Manifest
from honed.release.open import embedder_of, image_encoder_of, image_head_of
from honed.release.parts import Parts, parts_of, words_lost
from honed.runs import Run, look_at, open_run
from honed.session import Session
from honed.turn import NO_BASELINE, AnyTurn, Baseline, Finished, Ground, Tell, Turn
from honed.types import Split
from honed.workspace import write_atomic, write_json

if TYPE_CHECKING:  # torch is loaded by `tune` alone
    from honed.tune.bench import Recipe
    from honed.tune.candidate import Candidate
    from honed.workbench import Workbench

LEAST_TEST = 10
"""Test queries below which no verdict is attempted."""


def settle(
    session: Session,
    tell: Tell,
    *,
    given: dict[str, Split | None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[str, ...]:
    """After documents came or went: clusters, splits, vectors, index, and a first release; returns notes for the user.

    Args:
        given: The splits that came with queries; those that are missing are filled in by cluster.
    """
    prepare.note_clusters(
        session.catalog, lambda texts: near_duplicates(texts, threshold=session.settings.near_duplicate)
    )
    notes = prepare.fix_splits(session.catalog, given, seed=session.settings.seed) if given else ()
    embedder = session.live_embedder()
    if session.catalog.passage_count():
        generation = session.catch_up(embedder, tell=tell, progress=progress)
        ensure_release(session.workspace, session.catalog, session.settings, embedder, generation)
        settle_images(session, live_manifest(session.workspace, session.catalog), tell, progress=progress)
    return notes


def settle_images(
    session: Session, manifest: Manifest, tell: Tell, *, progress: Callable[[int, int], None] | None = None
) -> None:
    """After pictures came or went, or before a release goes live: its descriptors and its image index."""
    if not images.seq(session.catalog):
        return
    try:
        encoder = image_encoder_of(session.workspace, manifest, session.settings)
    except MissingError as error:  # documents are not lost for want of an eye
        tell(f"pictures are found by their captions only: {error.message} {error.hint}")
        return
    head = image_head_of(session.workspace, manifest, encoder)
    session.catch_up_images(encoder, head, tell=tell, progress=progress)


def survey(session: Session, tell: Tell) -> Ground:
    """Read the data, open the live system and choose the baseline on dev.

    Raises:
        UsageError: There are no documents, or nothing to measure with.
    """
    notes = settle(session, tell)
    if not judgements.queries(session.catalog, "test"):
        count = prepare.add_proxy(session.catalog, seed=session.settings.seed)
        notes += (
            f"There are no labels: {count} titles and headings stand in for questions, so only the fusion is tuned.",
        )
    task = load_task(session.catalog)
    for split in ("dev", "test"):
        if len(task.splits[split].queries) < LEAST_TEST:
            raise UsageError(
                f"There are {len(task.splits[split].queries)} questions in {split}; {LEAST_TEST} are needed.",
                hint="honed label FILE.csv (columns question,source), or import a folder with qrels",
            )
    task = widen_dev(task, seed=session.settings.seed)
    notes += task.notes
    embedder = session.live_embedder()
    generation = session.catch_up(embedder, tell=tell)
    manifest = live_manifest(session.workspace, session.catalog)
    learned = bool(manifest.lineage.get("run"))
    ground = Ground(task, embedder, generation, NO_BASELINE, notes, learned)
    fair = ground.fair_board(session.settings.pool)
    ground = replace(ground, fair_queries=embedder.encode_query(fair.labelled.texts))
    return replace(ground, baseline=_baseline(ground, fair, manifest))


def _baseline(ground: Ground, fair: Board, manifest: Manifest) -> Baseline:
    """The strongest of the plain systems and of what is live, where nothing was fitted; a tie goes to the plainest.

    A tuned release comes first, so that it wins a tie against its own parts.
    """
    systems, live = PLAIN, {manifest.release: manifest.retrieval}
    if ground.learned:
        systems = live | {f"{name} of {manifest.release}": system for name, system in PLAIN.items()}
    elif manifest.retrieval not in PLAIN.values():
        systems = PLAIN | live
    dev, dense = ground.board("dev", fair.pool), ground.generation.dense
    best = strongest(fair, ground.fair_queries, dense, systems)
    means = system_means(dev, ground.fair_queries[: len(dev.labelled.queries)], dense, systems)
    return Baseline(best.name, best.retrieval, means)


def tune(
    session: Session,
    *,
    budget: float,
    tell: Tell,
    show_plan: Callable[[list[str]], bool] = lambda _: True,
    recipe: Recipe | None = None,
) -> Turn | None:
    """One turn of the cycle.

    Args:
        budget: Seconds for everything; a quarter is kept for the test, the release and the report.
        tell: Told one line of progress at a time.
        show_plan: Given the plan as lines; returns whether to go on (`--dry-run` returns False).
        recipe: How the rungs learn; None for the default.

    Returns:
        What happened, or None if the plan was only shown.

    Raises:
        UsageError: There is nothing to learn from or to measure with.
    """
    from honed.tune.candidate import choose
    from honed.tune.ladder import climb
    from honed.tune.plan import RESERVE, table
    from honed.workbench import Workbench

    started = time.monotonic()
    ground = survey(session, tell)
    tell(f"baseline     dev {ground.baseline.dev[ground.baseline.name]:.3f}  {ground.baseline.name}")
    work = Workbench(session, ground, tell, recipe)
    plan = work.plan(budget, spent=time.monotonic() - started)
    if not show_plan(table(plan)):
        return None
    run = open_run(session.workspace, session.catalog, "tune", work.fingerprint(budget))
    if run.resumed:
        tell(f"going on with {run.id}")
    bench = work.bench(run.folder, plan.speed)
    candidates = climb(bench, plan, work.corpus(), deadline=started + budget * (1.0 - RESERVE))
    chosen = choose(candidates)
    exam = sealed_test(session, ground, work, chosen, looking=(run.id, work.experiment(budget)))
    judged = judge(session, exam, sum(one.tried for one in candidates))
    notes: tuple[str, ...] = ()
    if judged.release:
        session.catch_up(work.embedder(chosen), tell=tell)
        live = live_manifest(session.workspace, session.catalog)
        notes = words_lost(live, space=work.embedder(chosen).space)
    seconds = time.monotonic() - started
    turn = Finished(run, ground, tuple(candidates), chosen, exam, *judged, seconds, budget, notes)
    from honed.summary import report_data, result

    close(
        session,
        turn,
        outcome=result(turn),
        report=report_data(session, turn),
        parts=lambda: _parts(session, work, turn),
    )
    return turn


class Judged(NamedTuple):
    """What the gate says of an exam, and the name of the release if it is proven, else ""."""

    comparison: Comparison
    verdict: Verdict
    gate: GateSettings
    release: str


class Compares(Protocol):
    """An exam of any role: it can set candidate against baseline."""

    def compared(self, candidates_tried: int, seed: int) -> Comparison:
        """The comparison query by query."""


def judge(
    session: Session, exam: Compares, tried: int, also: Callable[[GateSettings], Sequence[Check]] = lambda _: ()
) -> Judged:
    """Compare both papers and ask the gate.

    Args:
        tried: Variants that competed on dev.
        also: What the role asks for besides, given the gate's settings.
    """
    comparison, gate = exam.compared(tried, session.settings.seed), GateSettings.of(session.settings)
    verdict = decide(comparison, gate, also(gate))
    release = f"r{history.next_release_number(session.catalog)}" if verdict.proven else ""
    return Judged(comparison, verdict, gate, release)


def sealed_test(
    session: Session, ground: Ground, work: Workbench, chosen: Candidate, *, looking: tuple[str, dict[str, Any]]
) -> Exam:
    """Let baseline and candidate sit the test, once; the look is counted before it is taken.

    Args:
        looking: Which run looks, and all that it depends on.
    """
    board = ground.board("test", session.settings.pool)
    labelled, documents_ = board.labelled, ground.task.documents
    named = {
        query.id: {documents_[document]: grade for document, grade in relevant.items()}
        for query, relevant in zip(labelled.queries, labelled.relevant, strict=True)
    }
    reads = look_at(session.catalog, judgements.fingerprint(labelled.queries, named), *looking)
    queries = ground.embedder.encode_query(labelled.texts)
    dense = ground.generation.dense
    base = sit(board, Entrant(ground.baseline.name, queries, dense, ground.baseline.retrieval))
    plain = tuple(sit(board, Entrant(name, queries, dense, system)) for name, system in PLAIN.items())
    tuned = work.embedder(chosen)
    name = f"tuned ({chosen.name})"
    candidate = sit(board, Entrant(name, tuned.encode_query(labelled.texts), work.dense(chosen), chosen.retrieval))
    general = None
    if tuned is not ground.embedder:
        general = General(general_probe(ground.embedder), general_probe(tuned))
    return Exam(
        board, base, candidate, reads, general, lambda rowids: documents.by_rowid(session.catalog, rowids), plain
    )


def close(
    session: Session,
    turn: AnyTurn,
    *,
    outcome: dict[str, Any],
    report: ReportData,
    parts: Callable[[], Parts],
) -> None:
    """Write comparison and report; then end the run and, if it is proven, make its release live, in one commit.

    A kill before the commit leaves a run that goes on; a kill after it leaves one that is over. In between there is
    nothing: a release without its run's end would be tested once more, against itself.

    Args:
        outcome: The turn as JSON.
        report: The turn as a page.
        parts: Gives what the proven candidate's release consists of; its space is indexed already.
    """
    write_atomic(turn.run.folder / "comparison.json", turn.comparison.to_json().encode())
    write_report(report, turn.run.folder / "report.html")

    def end() -> None:
        history.end_run(session.catalog, turn.run.id, "done", outcome)

    if turn.release:
        reason = f"proven: {100 * turn.comparison.primary.delta:+.1f} points on test"
        build(session.workspace, session.catalog, parts(), run=turn.run.id, reason=reason, also=end)
    else:
        with session.catalog.transaction():
            end()
    # After the commit: before it, a kill would leave a file that calls a release live which is not. `doctor --repair`
    # writes it from the catalog if the kill comes here.
    write_json(turn.run.folder / "result.json", outcome)
    for path in turn.run.folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
    drop_unused_vectors(session)


def _parts(session: Session, work: Workbench, turn: Turn) -> Parts:
    """What the proven candidate's release consists of; its space is indexed already."""
    chosen, live = turn.chosen, live_manifest(session.workspace, session.catalog)
    lineage = lineage_of(turn.run, turn.comparison, live.release)
    parts, space = parts_of(session.workspace, live, what=chosen.what, lineage=lineage), work.embedder(chosen).space
    images_ = parts.images.without_words() if parts.images and space != live.space else parts.images
    return replace(
        parts,
        images=images_,
        embedder=work.spec,
        space=space,
        retrieval=chosen.retrieval,
        pool=session.settings.pool,
        language=session.settings.language,
        query_folder=work.query_folder(chosen),
        document_folder=work.document_folder(chosen),
        adapter=work.adapter(chosen, turn.run.folder),
    )


def lineage_of(run: Run, comparison: Comparison, parent: str) -> dict[str, Any]:
    """How a release came to be: its run, the release before it, and the proof."""
    primary = comparison.primary
    proof = {"base": primary.base, "candidate": primary.candidate, "ci95": list(primary.ci95), "p": primary.p}
    return {"run": run.id, "parent": parent, "test": {"metric": comparison.metric, **proof}}


def drop_unused_vectors(session: Session) -> int:
    """Delete vectors of spaces that no release uses; returns how many: none while a release cannot be read."""
    try:
        every = manifests(session.workspace, session.catalog)
        spaces = {one.space for one in every} | {one.images.space for one in every if one.images}
        untuned = next((one for one in every if not one.images), None)
        if untuned and images.seq(session.catalog):
            spaces.add(image_encoder_of(session.workspace, untuned, session.settings).space)
    except HonedError:  # nobody knows what it needs; `honed doctor` names it
        return 0
    if not spaces:
        return 0
    marks = ",".join("?" * len(spaces))
    with session.catalog.transaction():
        cursor = session.catalog.connection.execute(
            f"DELETE FROM vectors WHERE space NOT IN ({marks})", tuple(sorted(spaces))
        )
    return int(cursor.rowcount)


def make_live(session: Session, name: str | None, *, reason: str) -> str:
    """Make a release live, or with None the one that was live before; its index is brought up first, so no search fails.

    Raises:
        IntegrityError: A file of the release is missing or changed.
        UsageError: There is no such release, or none to go back to.
    """
    row = row_of(session.catalog, name) if name else previous(session.catalog)
    manifest = manifest_of(session.workspace, row)
    session.catch_up(embedder_of(session.workspace, manifest, session.settings), tell=lambda _: None)
    settle_images(session, manifest, lambda _: None)
    action = "promote" if name else "rollback"
    return promote(session.workspace, session.catalog, row.name, reason=reason, action=action)
