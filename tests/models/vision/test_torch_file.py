"""The reader of torch files: it reads what torch wrote, and a hostile file makes it stop, not act."""

from __future__ import annotations

import io
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from honed.errors import IntegrityError
from honed.models.vision.torch_file import MAGIC, PROTOCOL, read_torch_file

Views = dict[str, tuple[str, int, tuple[int, ...], tuple[int, ...]]]


class _Rebuild:
    """Pickles as a call of torch's own function, with a storage as a persistent id."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments


class _Name:
    def __init__(self, name: str) -> None:
        self.name = name


def pickled(value: Any) -> bytes:
    """A pickle in which `_Rebuild` and `_Name` are written as torch writes its own, without torch."""

    class Writer(pickle._Pickler):  # type: ignore[misc, name-defined]
        def save(self, obj: Any, save_persistent_id: bool = True) -> None:
            if isinstance(obj, _Name):
                self.write(b"c" + obj.name.replace(" ", "\n").encode() + b"\n")
            elif isinstance(obj, _Rebuild):
                self.save(_Name("torch._utils _rebuild_tensor_v2"))
                self.save(obj.arguments)
                self.write(b"R")
            elif isinstance(obj, tuple) and obj and obj[0] == "storage":
                pickle._Pickler.save(self, obj)  # type: ignore[attr-defined]
                self.write(b"Q")
            else:
                pickle._Pickler.save(self, obj)  # type: ignore[attr-defined]

    file = io.BytesIO()
    Writer(file, 2).dump(value)
    return file.getvalue()


def storage(key: str, count: int, kind: str = "torch FloatStorage", view: Any = None) -> tuple[Any, ...]:
    return ("storage", _Name(kind), key, "cpu", count, view)


def tensor(where: Any, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> _Rebuild:
    return _Rebuild(where, offset, shape, strides, False, OrderedDict())


def torch_file(tensors: Any, numbers: dict[str, np.ndarray], *, magic: int = MAGIC, little: bool = True) -> bytes:
    parts = [pickled(magic), pickled(PROTOCOL), pickled({"protocol_version": PROTOCOL, "little_endian": little})]
    parts += [pickled(tensors), pickled(list(numbers))]
    for values in numbers.values():
        parts += [len(values).to_bytes(8, "little"), values.tobytes()]
    return b"".join(parts)


def read(data: bytes, folder: Path) -> dict[str, np.ndarray]:
    path = folder / "model.pth"
    path.write_bytes(data)
    return read_torch_file(path)


SIX = {"7": np.arange(6, dtype=np.float32)}


def test_tensors_are_views_of_their_storage(tmp_path: Path) -> None:
    tensors = OrderedDict(
        whole=tensor(storage("7", 6), 0, (2, 3), (3, 1)),
        turned=tensor(storage("7", 6), 0, (3, 2), (1, 3)),
        last=tensor(storage("7", 6), 5, (), ()),
        none=tensor(storage("7", 6), 0, (0, 4), (4, 1)),
        count=tensor(storage("8", 1, "torch LongStorage"), 0, (1,), (1,)),
    )
    found = read(torch_file(tensors, SIX | {"8": np.array([9])}), tmp_path)
    assert found["whole"].tolist() == [[0, 1, 2], [3, 4, 5]] and found["whole"].dtype == np.float32
    assert found["turned"].tolist() == [[0, 3], [1, 4], [2, 5]] and found["turned"].flags.c_contiguous
    assert found["last"].tolist() == 5 and found["none"].shape == (0, 4)
    assert found["count"].tolist() == [9] and found["count"].dtype == np.int64


class _Attack:
    def __init__(self, name: str, arguments: tuple[Any, ...]) -> None:
        self.name, self.arguments = name, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr(os, self.name), self.arguments


BAD: dict[str, Any] = {
    "calls a system function": OrderedDict(a=_Attack("mkdir", ("attacked",))),
    "holds an object of a class": OrderedDict(a=Path("attacked")),
    "is a list": [tensor(storage("7", 6), 0, (2, 3), (3, 1))],
    "holds a number": OrderedDict(a=3),
    "has a name that is no text": {3: tensor(storage("7", 6), 0, (2, 3), (3, 1))},
    "leaves its storage": OrderedDict(a=tensor(storage("7", 6), 1, (2, 3), (3, 1))),
    "repeats its storage without end": OrderedDict(a=tensor(storage("7", 6), 0, (2**40, 2), (0, 1))),
    "begins before its storage": OrderedDict(a=tensor(storage("7", 6), -2, (2,), (1,))),
    "goes backwards": OrderedDict(a=tensor(storage("7", 6), 5, (3,), (-1,))),
    "has fewer strides than extents": OrderedDict(a=tensor(storage("7", 6), 0, (2, 3), (3,))),
    "has a shape of words": OrderedDict(a=tensor(storage("7", 6), 0, ("2", 3), (3, 1))),
    "has no storage": OrderedDict(a=_Rebuild(3, 0, (2,), (1,), False, OrderedDict())),
    "has an unknown storage": OrderedDict(a=tensor(storage("9", 6), 0, (2, 3), (3, 1))),
    "says another length of the storage": OrderedDict(a=tensor(storage("7", 7), 0, (2, 3), (3, 1))),
    "says two lengths of the storage": OrderedDict(
        a=tensor(storage("7", 6), 0, (1,), (1,)), b=tensor(storage("7", 5), 0, (1,), (1,))
    ),
    "has a storage of an unknown type": OrderedDict(a=tensor(storage("7", 6, "torch QUInt8Storage"), 0, (1,), (1,))),
    "has a view of a storage": OrderedDict(a=tensor(storage("7", 6, view=("x", 0, 1)), 0, (1,), (1,))),
    "calls a storage": OrderedDict(a=(_Name("torch FloatStorage"),)),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_refused(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(IntegrityError, match=r"model\.pth is not a readable file of torch tensors"):
        read(torch_file(BAD[what], SIX), tmp_path)
    assert not (tmp_path / "attacked").exists()


def test_other_headers_are_refused(tmp_path: Path) -> None:
    good = OrderedDict(a=tensor(storage("7", 6), 0, (2, 3), (3, 1)))
    for data in (b"", b"PK\3\4", torch_file(good, SIX, magic=1), torch_file(good, SIX, little=False)):
        with pytest.raises(IntegrityError):
            read(data, tmp_path)
    with pytest.raises(IntegrityError, match="bytes follow"):
        read(torch_file(good, SIX) + b"x", tmp_path)


def test_a_file_that_is_cut_anywhere_is_refused(tmp_path: Path) -> None:
    data = torch_file(OrderedDict(a=tensor(storage("7", 6), 0, (2, 3), (3, 1))), SIX)
    assert read(data, tmp_path)["a"].shape == (2, 3)
    for end in range(len(data)):
        with pytest.raises(IntegrityError):
            read(data[:end], tmp_path)


def test_a_flipped_byte_gives_tensors_or_an_error_of_ours(tmp_path: Path) -> None:
    data = torch_file(OrderedDict(a=tensor(storage("7", 6), 0, (2, 3), (3, 1))), SIX)
    random = np.random.default_rng(0)
    for _ in range(200):
        bent = bytearray(data)
        bent[random.integers(len(data))] = random.integers(256)
        try:
            found = read(bytes(bent), tmp_path)
        except IntegrityError:
            continue
        assert all(isinstance(value, np.ndarray) for value in found.values())


def test_it_reads_what_torch_wrote(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    base = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
    given = OrderedDict(
        plain=base, turned=base.permute(2, 0, 1), half=base[1:, 1:].half(), whole=torch.tensor(5), slow=base.double()
    )
    path = tmp_path / "model.pth"
    torch.save(given, path, _use_new_zipfile_serialization=False)
    found = read_torch_file(path)
    assert list(found) == list(given)
    for name, value in given.items():
        assert found[name].dtype == value.numpy().dtype
        np.testing.assert_array_equal(found[name], value.numpy())
    torch.save(given, path)
    with pytest.raises(IntegrityError):  # the later format, a zip file, is another one
        read_torch_file(path)
