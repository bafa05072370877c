"""The roles by name: those below, and what others install as entry points of the group `honed.role`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from honed.errors import UsageError
from honed.tuning.role import Role

ROLES = {
    "retriever": "honed.roles.retriever.role:Retriever",
    "image-retriever": "honed.roles.image_retriever.role:ImageRetriever",
    "text-to-image": "honed.roles.text_to_image.role:TextToImage",
    "image-generator": "honed.roles.image_generator.role:ImageGenerator",
}
"""Name -> "module:Class". The table wins over a plug-in."""

DEFAULT = next(iter(ROLES))


def role_names() -> tuple[str, ...]:
    """All roles that can be tuned here, ours first."""
    return (*ROLES, *(name for name in _installed() if name not in ROLES))


def load_role(name: str, **options: Any) -> Role[Any, Any]:
    """A role by its name; `options` go to its class, such as a recipe.

    Raises:
        UsageError: There is no such role.
    """
    target = ROLES.get(name) or _installed().get(name)
    if target is None:
        raise UsageError(f"There is no role '{name}'.", hint=f"roles are: {', '.join(role_names())}")
    module, _, attribute = target.partition(":")
    role: Role[Any, Any] = getattr(import_module(module), attribute)(**options)
    return role


def _installed() -> dict[str, str]:
    from importlib.metadata import entry_points  # slow, and only a role that is not in the table pays for it

    return {point.name: point.value for point in entry_points(group="honed.role")}
