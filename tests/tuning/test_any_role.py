"""A role is one class: everything else, from the plan to the release, works for one that Honed has never heard of."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from typer.testing import CliRunner

from honed.catalog import history
from honed.cli import app
from honed.errors import UsageError
from honed.evaluate.gate import NotInferior
from honed.release.build import live_manifest, part_of
from honed.session import Session, open_session
from honed.settle import settle
from honed.tuning import registry, run
from honed.tuning.measure import compare_systems, measure
from honed.tuning.results import Finished, result
from honed.workspace import create
from tests.catalog.make import put
from tests.tuning.guess import NAME, Guess

ROOT = Path(__file__).parents[2] / "src/honed"


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("HONED_STATE", str(tmp_path / "state"))
    workspace = create(tmp_path / "ws", 'embedder = "hash:64"\n')
    with open_session(workspace, create=True) as opened:
        put(opened.catalog, "a", "a text")
        settle(opened, lambda _: None)
        yield opened


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The role as a plug-in installs it."""
    point = EntryPoint(NAME, "tests.tuning.guess:Guess", "honed.role")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda *, group: [point] if group == "honed.role" else [])


def tuned(session: Session, role: Guess | None = None, **options: object) -> Finished | None:
    return run.tune(session, role or Guess(), budget=60.0, tell=lambda _: None, **options)  # type: ignore[arg-type]


def test_it_is_tuned_proven_released_measured_and_compared(session: Session) -> None:
    finished = tuned(session)
    assert finished is not None
    assert (finished.verdict.proven, finished.release, finished.comparison.test_reads) == (True, "r2", 1)
    manifest = live_manifest(session.workspace, session.catalog)
    assert set(manifest.parts) == {"retriever", NAME}, "text goes on as it was"
    assert part_of(session.workspace, manifest, NAME).files["mean"].read_text() == "0.8"
    report = (finished.run.folder / "report.html").read_text()
    assert "guesses 0.8" in report and "Numbers are made up." in report
    assert result(finished)["role"] == NAME
    before, after = (measure(session, Guess(), system, "test")["metrics"]["nearness"] for system in ("r1", "live"))
    assert after - before == pytest.approx(finished.comparison.primary.delta, abs=1e-3)
    comparison, verdict = compare_systems(session, Guess(), "r1", "live", "test")
    assert verdict.proven and comparison.test_reads == 2
    with pytest.raises(UsageError, match="ranks nothing"):
        Guess().rankings(session, "live", "test", 10)


def test_the_live_release_is_what_has_to_be_beaten_next(session: Session) -> None:
    tuned(session)
    second = tuned(session, Guess(0.4))
    assert second is not None
    assert (second.snapshot.baseline.name, second.verdict.proven, second.release) == ("r2", False, "")
    assert history.live_release(session.catalog) == 2


@pytest.mark.parametrize(
    ("learned", "saved", "proven"), [(0.79, 0.5, True), (0.79, 0.2, False), (0.4, 0.5, False), (0.8, 0.5, True)]
)
def test_a_role_may_ask_for_no_loss_at_a_saving(session: Session, learned: float, saved: float, proven: bool) -> None:
    tuned(session)
    compact = Guess(learned, saved)
    compact.criterion = NotInferior(margin=0.03, saving=0.4, of="digits")
    finished = tuned(session, compact)
    assert finished is not None
    assert finished.verdict.proven == proven
    assert finished.release == ("r3" if proven else "")
    assert any("digits are saved" in check.sentence for check in finished.verdict.checks)


def test_a_plan_alone_leaves_nothing(session: Session) -> None:
    lines: list[str] = []
    assert tuned(session, show_plan=lambda plan: bool(lines.extend(plan))) is None
    assert any("mean" in line for line in lines)
    assert not session.workspace.runs.exists()


def test_it_goes_on_after_a_kill_and_counts_its_look_once(session: Session) -> None:
    def dies(line: str) -> None:
        if line.startswith("mean         dev"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.tune(session, Guess(), budget=60.0, tell=dies)
    told: list[str] = []
    finished = run.tune(session, Guess(), budget=60.0, tell=told.append)
    assert finished is not None
    assert finished.run.resumed and finished.comparison.test_reads == 1
    assert not any(line.startswith("mean         started") for line in told)


def test_another_metric_than_the_roles_is_refused(session: Session) -> None:
    session.settings.metrics[NAME] = "beauty"  # type: ignore[index]
    with pytest.raises(UsageError, match="'beauty' is no metric of guess"):
        tuned(session)


@pytest.mark.usefixtures("installed")
def test_the_command_line_takes_it_by_name(session: Session) -> None:
    assert NAME in registry.role_names()

    def honed(*words: str) -> dict[str, object]:
        done = CliRunner().invoke(app, ["-w", str(session.workspace.root), *words, "--json"], catch_exceptions=False)
        return dict(json.loads(done.stdout))

    assert honed("tune", "--role", NAME, "--budget", "60s")["verdict"] == "proven"
    assert honed("evaluate", "--role", NAME)["unit"] == "numbers"
    assert honed("compare", "r1", "live", "--role", NAME)["verdict"] == "proven"
    assert honed("report")["role"] == NAME
    with pytest.raises(UsageError, match="no role 'gues'") as error:
        registry.load_role("gues")
    assert "retriever" in error.value.hint and NAME in error.value.hint


def test_nothing_branches_on_the_name_of_a_role_outside_of_its_folder() -> None:
    """No comparison with a role's name, and no import of a role: the registry loads them by name."""
    wrong = []
    for path in ROOT.rglob("*.py"):
        if "roles" in path.relative_to(ROOT).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare):
                names = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
                wrong += [f"{path}:{node.lineno}" for name in names if name in registry.ROLES]
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("honed.roles"):
                wrong.append(f"{path}:{node.lineno} imports {node.module}")
    assert not wrong
