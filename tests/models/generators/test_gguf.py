from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from honed.errors import HonedError, IntegrityError, MissingError
from honed.models.generators.gguf import read_header
from tests.models.generators.gguf_file import CHAT, entry, text, write_gguf


def test_the_header_says_what_the_model_is(tmp_path: Path) -> None:
    header = read_header(write_gguf(tmp_path / "m.gguf", CHAT))
    assert header.version == 3
    assert header.architecture == "llama"
    assert header.context_length == 4096
    assert header.chat_template == "{{ messages }}"


def test_what_is_not_said_is_none(tmp_path: Path) -> None:
    header = read_header(write_gguf(tmp_path / "m.gguf", {}))
    assert (header.architecture, header.context_length, header.chat_template) == ("", None, None)


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingError):
        read_header(tmp_path / "none.gguf")
    with pytest.raises(MissingError):
        read_header(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GG",
        b"\x80\x04\x95pickle",
        b"PK\x03\x04",
        b"GGUF",
        b"GGUF" + struct.pack("<IQQ", 9, 0, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 2**63),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**40),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<I", 99),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQ", 9, 9, 5),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQ", 9, 8, 2**60),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQ", 9, 4, 2**61),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"\xff" + struct.pack("<II", 4, 1),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)
    with pytest.raises(IntegrityError):
        read_header(path)


@given(st.binary(max_size=60), st.integers(0, 80))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_bytes_raise_anything_else(tmp_path: Path, junk: bytes, cut: int) -> None:
    whole = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + entry("k", "value")
    path = tmp_path / "fuzz.gguf"
    path.write_bytes(whole[:cut] + junk)
    with suppress(HonedError):
        read_header(path)
