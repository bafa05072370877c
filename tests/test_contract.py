"""The house rules that no single room can hold: imports, cold start, sizes, commands, the public surface, licences."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import honed
from honed.cli import app
from tests import toy

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "honed").rglob("*.py"))

HEAVY = {"torch", "transformers", "sentence_transformers", "scipy", "matplotlib", "sklearn", "pandas"}
"""Seconds of import each; nothing but training may pay for them."""

INFERENCE = {"numpy", "faiss", "tantivy", "tokenizers", "onnx", "onnxruntime", "openvino", "lxml", "PIL", "pypdf"}
"""What `--help` can do without."""

SPY = """
import json, sys
try:
    {code}
except SystemExit as stopped:
    assert not stopped.code, stopped.code
finally:
    sys.stderr.write("\\n" + json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""


def loaded(code: str, *arguments: str) -> set[str]:
    """Top-level modules that are loaded after a fresh process ran the code."""
    done = subprocess.run(
        [sys.executable, "-c", SPY.format(code=code), *arguments], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


def command(*arguments: str) -> set[str]:
    """Top-level modules that a command loads."""
    return loaded("from honed.cli import main; main()", *arguments)


# Cold start


def test_import_honed_loads_the_standard_library_and_nothing_else() -> None:
    before = loaded("pass")
    assert loaded("import honed") - before - set(sys.stdlib_module_names) == {"honed"}


def test_help_loads_no_model_library() -> None:
    assert not command("--help") & (HEAVY | INFERENCE)


def test_search_loads_nothing_heavy(tmp_path: Path) -> None:
    model = toy.model(tmp_path / "model")
    beir, root = toy.write_beir(tmp_path / "beir"), tmp_path / "ws"
    assert not command("init", str(root)) & HEAVY
    (root / "honed.toml").write_text(f'embedder = "folder:{model}"\nthreads = 1\n')
    assert not command("-w", str(root), "import", str(beir)) & HEAVY
    modules = command("-w", str(root), "search", toy.question(toy.PAIRS[0]))
    assert not modules & HEAVY
    assert {"faiss", "tantivy", "tokenizers"} & modules, "nothing was searched: this test tests nothing"


def test_help_is_quick(capsys: pytest.CaptureFixture[str], record_property: pytest.RecordProperty) -> None:
    """The time is shown, not asserted: it says more about the machine's load than about the code."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "honed", "--help"], capture_output=True, text=True, timeout=100)
    seconds = time.perf_counter() - started
    assert done.returncode == 0
    assert "honed" in done.stdout
    record_property("help_seconds", round(seconds, 3))
    with capsys.disabled():
        print(f" [honed --help: {seconds:.2f} s] ", end="")


# Imports, sizes, names


def test_imports_go_up_the_list_of_rooms_only() -> None:
    pytest.importorskip("importlinter")
    checker = Path(sys.executable).with_name("lint-imports")
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [checker, "--no-cache"], capture_output=True, text=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_folder_of_sources_is_a_package() -> None:
    """What has no `__init__.py` is invisible to the import contract."""
    folders = {path.parent for path in SOURCES}
    assert not [str(folder) for folder in folders if not (folder / "__init__.py").is_file()]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src" / "honed")))
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") < 400, "a file of 400 lines is two files"
    long = {name: length for name, length in function_lengths(ast.parse(text)) if length >= 50}
    assert not long, "functions under 50 lines, docstring not counted"


def function_lengths(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Name and number of lines of every function, decorators and docstring not counted."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            docstring = ast.get_docstring(node) is not None
            skipped = first.end_lineno - first.lineno + 1 if docstring else 0  # type: ignore[operator]
            yield node.name, node.end_lineno - node.lineno + 1 - skipped  # type: ignore[operator]


def test_no_module_is_a_drawer() -> None:
    drawers = {"utils", "util", "core", "base", "common", "helpers", "helper", "misc", "manager"}
    assert not [str(path) for path in SOURCES if drawers & {path.stem, path.parent.name}]


def test_no_class_is_a_manager_or_a_helper() -> None:
    named = [
        f"{path.name}: {node.name}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and node.name.endswith(("Manager", "Helper"))
    ]
    assert not named


# The command line


def commands(group: Any = None, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every public command with its full name."""
    group = group or typer.main.get_command(app)
    for name, found in group.commands.items():
        if found.hidden:
            continue
        if hasattr(found, "commands"):
            yield from commands(found, f"{prefix}{name} ")
        else:
            yield prefix + name, found


COMMANDS = dict(commands())
PROMISED = set(
    "init add import status search ask tune evaluate compare report releases promote rollback doctor".split()
)


def test_the_promised_commands_are_there() -> None:
    assert set(COMMANDS) >= PROMISED | {"export model", "export rankings"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_and_speaks_json(name: str) -> None:
    found = COMMANDS[name]
    assert found.help and found.help.strip().endswith("."), "a sentence that says what it does"
    options = [one for one in found.params if one.param_type_name == "option" and one.name != "help"]
    assert [one for one in options if "--json" in one.opts], "--json, as on every command"
    assert not [one.name for one in options if not one.help], "every option has its help"


def test_python_m_honed_is_the_command_line() -> None:
    done = subprocess.run([sys.executable, "-m", "honed", "releases", "--help"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "honed releases" in done.stdout


# The public surface


SURFACE = """
    Answer BusyError CheckFailed Citation Context Document Embedder Generator HonedError InputError IntegrityError MissingError
    Passage Qrel Query Reranker ServiceError Session UsageError Workspace __version__ ask find open_release open_session
"""


def test_the_public_surface_is_what_was_promised() -> None:
    """Adding a name is a promise, removing one breaks it: change this list on purpose only."""
    assert sorted(honed.__all__) == sorted(SURFACE.split())
    assert dir(honed) == sorted(honed.__all__)


@pytest.mark.parametrize("name", honed.__all__)
def test_every_public_name_is_there_and_explained(name: str) -> None:
    found = getattr(honed, name)
    assert found is getattr(honed, name) or name == "__version__"
    assert name == "__version__" or (found.__doc__ or "").strip()


def test_no_public_name_is_also_a_room() -> None:
    """Importing `honed.x.y` binds `honed.x`: a function of that name would change under its user."""
    rooms = {path.stem for path in (ROOT / "src" / "honed").iterdir()}
    assert not rooms & set(honed.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = honed.nothing


def test_the_version_is_the_package_s() -> None:
    assert honed.__version__ == importlib.metadata.version("honed")
    assert re.fullmatch(r"\d+\.\d+\.\d+", honed.__version__)


# Licences


ONLY_GPL = re.compile(
    r"(?<![A-Za-z])A?GPL|(?<!Lesser )(?<!Library or Lesser )General Public License|Affero", re.IGNORECASE
)


def licences(distribution: importlib.metadata.Distribution) -> list[str]:
    """The licences that one may choose from, in a package's own words."""
    meta = distribution.metadata
    if expression := meta.get("License-Expression"):
        return re.split(r"\s+OR\s+", expression)
    if classified := [one for one in meta.get_all("Classifier") or [] if one.startswith("License ::")]:
        return classified
    return [(meta.get("License") or "").strip().partition("\n")[0]]


def is_copyleft(licence: str) -> bool:
    """Whether a licence would bind all of Honed. A library's exception (GCC's runtime) and LGPL do not."""
    licence = re.sub(r"\bGPL-[\w.+-]+ WITH [\w.-]*exception[\w.-]*", "", licence, flags=re.IGNORECASE)
    return bool(ONLY_GPL.search(licence))


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("AGPL-3.0-only", True),
        ("GPL-2.0-or-later AND MIT", True),
        ("License :: OSI Approved :: GNU General Public License v3 (GPLv3)", True),
        ("License :: OSI Approved :: GNU Affero General Public License v3", True),
        ("License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)", False),
        ("LGPL-2.1-or-later", False),
        ("MPL-2.0", False),
        ("BSD-3-Clause AND GPL-3.0-or-later WITH GCC-exception-3.1", False),
    ],
)
def test_copyleft_is_told_apart(licence: str, expected: bool) -> None:
    assert is_copyleft(licence) is expected


def test_nothing_installed_is_gpl_only() -> None:
    bound = {
        distribution.metadata["Name"]: licences(distribution)
        for distribution in importlib.metadata.distributions()
        if all(is_copyleft(licence) for licence in licences(distribution))
    }
    assert not bound
