"""Tensors out of a file that `torch.save` wrote before version 1.6, without torch and without running anything in it.

Such a file is five pickles (magic number, protocol, machine, tensors, storage keys), then the numbers of each storage. The
pickles are not loaded: their opcodes are read one by one by a machine that knows the few which plain tensors need. It cannot
call or import anything; a name that is not in its table ends the reading, as does any number that leaves the file.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honed.errors import IntegrityError

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001

STORAGES = {
    "torch FloatStorage": "<f4",
    "torch DoubleStorage": "<f8",
    "torch HalfStorage": "<f2",
    "torch LongStorage": "<i8",
    "torch IntStorage": "<i4",
}
"""The storages that are read, and their numbers in numpy's words."""

REBUILD, MAPPING = "torch._utils _rebuild_tensor_v2", "collections OrderedDict"

_MARK = object()


def read_torch_file(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a state dict, by name, each with its own shape and type.

    Raises:
        IntegrityError: The file is cut short, lies about its sizes, or holds anything besides named tensors.
    """
    try:
        # From memory: a length that lies then gives a short read, and not a buffer of that length.
        return _read(BytesIO(path.read_bytes()))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        raise IntegrityError(
            f"{path} is not a readable file of torch tensors: {str(error) or type(error).__name__}.",
            hint="install the package of the model again",
        ) from error


def _read(file: BytesIO) -> dict[str, NDArray[Any]]:
    """The five pickles, the storages, and the tensors as views of them."""
    if _Machine().run(file) != MAGIC or _Machine().run(file) != PROTOCOL:
        raise ValueError("it does not begin as one")
    machine = _Machine().run(file)
    if type(machine) is not dict or machine.get("little_endian") is not True:
        raise ValueError("its numbers are not little-endian")
    reader = _Machine()
    tensors = reader.run(file)
    keys = _Machine().run(file)
    if type(tensors) is not dict or type(keys) is not list or len(set(keys)) != len(keys):
        raise ValueError("it holds something else than named tensors")
    storages = {key: _storage(file, reader.storages[key]) for key in keys}
    if file.read(1):
        raise ValueError("bytes follow the last tensor")
    return {_text(name): _tensor(value, storages) for name, value in tensors.items()}


@dataclass(frozen=True, slots=True)
class _Storage:
    """A run of numbers that a pickle names: its key, their type, how many."""

    key: str
    dtype: str
    count: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    """What a tensor is a view of. Extents and strides in numbers, not in bytes."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Machine:
    """Runs the opcodes of one pickle on a stack of plain values."""

    def __init__(self) -> None:
        self.storages: dict[str, _Storage] = {}
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, file: BytesIO) -> Any:
        """The value of the pickle that begins here; the file stands behind it afterwards."""
        for opcode, argument, _ in pickletools.genops(file):
            name = opcode.name
            if name in _VALUES:
                self._stack.append(_VALUES[name](argument))
            elif name in _ACTIONS:
                _ACTIONS[name](self, argument)
            elif name != "PROTO" and name != "STOP":
                raise ValueError(f"it asks for {name}, which plain tensors do not need")
        (value,) = self._stack
        return value

    def since_mark(self) -> list[Any]:
        """What lies above the last mark; both leave the stack."""
        at = max(position for position, value in enumerate(self._stack) if value is _MARK)
        values = self._stack[at + 1 :]
        del self._stack[at:]
        return values

    def remember(self, key: int) -> None:
        self._memo[key] = self._stack[-1]

    def recall(self, key: int) -> None:
        self._stack.append(self._memo[key])

    def name(self, name: str) -> None:
        """A name of a function or a class stays a string; what it may do is decided in `call`."""
        if name not in STORAGES and name not in (REBUILD, MAPPING):
            raise ValueError(f"it asks for '{name}', which plain tensors do not need")
        self._stack.append(name)

    def tuple_of(self, count: int) -> None:
        self._stack[len(self._stack) - count :] = [tuple(self._stack[len(self._stack) - count :])]

    def set_items(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not dict:
            raise ValueError("it sets an item of something that is no mapping")
        target.update(zip(values[::2], values[1::2], strict=True))

    def set_item(self, _: object) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self.set_items([key, value])

    def extend(self, values: list[Any]) -> None:
        if type(self._stack[-1]) is not list:
            raise ValueError("it appends to something that is no list")
        self._stack[-1].extend(values)

    def call(self, _: object) -> None:
        """The two calls that there are: an empty mapping, and a tensor over a storage."""
        arguments, name = self._stack.pop(), self._stack.pop()
        if name == MAPPING and arguments == ():
            self._stack.append({})
        elif name == REBUILD and type(arguments) is tuple:
            storage, offset, shape, strides = arguments[:4]
            self._stack.append(_Tensor(storage, offset, shape, strides))
        else:
            raise ValueError("it calls something that plain tensors do not need")

    def persistent(self, _: object) -> None:
        """A storage: ('storage', type, key, place, count, view). Views of storages went out of use before 2017."""
        kind, type_name, key, _place, count, view = self._stack.pop()
        if kind != "storage" or view is not None or type(count) is not int or count < 0:
            raise ValueError("it names a storage in a form that is not known")
        storage = _Storage(_text(key), STORAGES[type_name], count)
        if self.storages.setdefault(storage.key, storage) != storage:
            raise ValueError(f"the storage {key} is named twice")
        self._stack.append(storage)


_VALUES: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE"), lambda argument: argument),
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "EMPTY_DICT": lambda _: {},
    "EMPTY_LIST": lambda _: [],
    "EMPTY_TUPLE": lambda _: (),
    "MARK": lambda _: _MARK,
}
"""Opcodes that put one value on the stack."""

_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _Machine.remember),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _Machine.recall),
    "GLOBAL": _Machine.name,
    "TUPLE": lambda machine, _: machine._stack.append(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "SETITEM": _Machine.set_item,
    "SETITEMS": lambda machine, _: machine.set_items(machine.since_mark()),
    "APPEND": lambda machine, _: machine.extend([machine._stack.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.since_mark()),
    "REDUCE": _Machine.call,
    "BINPERSID": _Machine.persistent,
    "BUILD": lambda machine, _: machine._stack.pop() and None,  # versions of modules: not needed, not applied
}
"""Opcodes that change the stack."""


def _storage(file: BytesIO, storage: _Storage) -> NDArray[Any]:
    """The numbers of one storage, which follow their count."""
    count = int.from_bytes(file.read(8), "little")
    numbers = file.read(count * np.dtype(storage.dtype).itemsize)
    if count != storage.count or len(numbers) != count * np.dtype(storage.dtype).itemsize:
        raise ValueError(f"the storage {storage.key} does not have the bytes that it needs")
    return np.frombuffer(numbers, storage.dtype)


def _tensor(value: Any, storages: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """A tensor of its own from a view that stays inside its storage."""
    if type(value) is not _Tensor or type(value.storage) is not _Storage:
        raise ValueError("it holds something else than named tensors")
    numbers = storages[value.storage.key]
    extents = (value.offset, *value.shape, *value.strides)
    if len(value.shape) != len(value.strides) or not all(type(extent) is int and extent >= 0 for extent in extents):
        raise ValueError("a tensor has a shape that is not one")
    last = value.offset + sum((extent - 1) * stride for extent, stride in zip(value.shape, value.strides, strict=True))
    total = int(np.prod(value.shape, dtype=object)) if value.shape else 1
    if total > len(numbers) or (total and last >= len(numbers)):
        raise ValueError("a tensor leaves its storage")
    if not total:
        return np.empty(value.shape, numbers.dtype)
    size = numbers.dtype.itemsize
    view = np.lib.stride_tricks.as_strided(
        numbers[value.offset :], value.shape, [stride * size for stride in value.strides], writeable=False
    )
    return np.array(view, order="C")


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError("a name is not text")
    return value
