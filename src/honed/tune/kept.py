"""The plan of a run is made once: a process that goes on with the run takes the same steps, whatever the machine does now."""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from honed.workspace import read_json, write_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

PLAN_FILE = "plan.json"

PlanT = TypeVar("PlanT", bound="DataclassInstance")


def kept_plan(folder: Path, plan: PlanT) -> PlanT:
    """The plan that the run in `folder` began with; `plan`, kept from now on, where it has begun with none.

    A plan is a dataclass of numbers, texts, other dataclasses and tuples of these.
    """
    path = folder / PLAN_FILE
    if not path.is_file():
        write_json(path, asdict(plan))
    kept: PlanT = _built(type(plan), read_json(path))
    return kept


def _built(kind: Any, value: Any) -> Any:
    """A value of JSON as a dataclass or a tuple, where its type says that it was one."""
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{name: _built(hints[name], part) for name, part in value.items()})  # type: ignore[operator]
    if isinstance(value, list):
        return tuple(_built(get_args(kind)[0], part) for part in value)
    return value
