"""Which pictures show the same thing, in a user's own words: a table, or the folders in which they lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePath

import numpy as np

from honed.catalog import Catalog, images
from honed.dataset.prepare import matched
from honed.dataset.splits import join, strictest
from honed.errors import InputError
from honed.formats import PictureLabel
from honed.types import Split

NAMED = 3
"""Pictures that a note about many of them names."""

Label = tuple[str, str, Split | None]
"""Group, variant, and the split that the user gave."""


def label_pictures(catalog: Catalog, rows: Sequence[PictureLabel], *, seed: int) -> tuple[str, ...]:
    """Take a table of pictures and groups; returns notes for the user.

    A picture is named as `prepare.add_labels` lets a source be named. The newest word counts; an empty group takes a picture
    out of its group. What the table does not name stays as it is.

    Raises:
        InputError: No picture of the table is known.
    """
    files = {name for _, name in images.files(catalog)}
    match = {
        name: document for name, document in matched(catalog, {row.image for row in rows}).items() if document in files
    }
    labels: dict[str, Label] = {}
    alone: set[str] = set()
    for row in rows:
        if (name := match.get(row.image)) is None:
            continue
        labels.pop(name, None)
        alone.discard(name)
        if row.group:
            labels[name] = (row.group, row.variant, row.split)
        else:
            alone.add(name)
    if not labels and not alone:
        raise InputError(
            "No picture in the label table is one of this workspace.",
            hint="`image` must be a path as `honed status --sources` lists it, or the end of one",
        )
    _record(catalog, labels, alone, seed=seed)
    unknown = list(dict.fromkeys(row.image for row in rows if row.image not in match))
    return (f"Not known as a picture, or not as exactly one, and left out: {_few(unknown)}.",) if unknown else ()


def label_by_folder(catalog: Catalog, folder: Path, *, seed: int) -> tuple[str, ...]:
    """Make every folder below a folder the group of the pictures that lie in it; returns notes for the user.

    A picture that lies alone in its folder, or in the given folder itself, belongs to no group. Again is a sync: a group
    keeps its split.

    Raises:
        InputError: No picture below the folder was added, or no folder holds two.
    """
    root = folder.resolve()
    homes: dict[str, PurePath] = {}
    twins: list[str] = []
    for name, path in images.added_files(catalog):
        home = PurePath(path).parent
        if home.is_relative_to(root) and homes.setdefault(name, home) != home:
            twins.append(path)  # the same bytes in two folders are one document
    if not homes:
        raise InputError(f"No picture in {folder} was added.", hint=f"honed add {folder}")
    members: dict[PurePath, list[str]] = {}
    for name, home in homes.items():
        if home != root:
            members.setdefault(home, []).append(name)
    labels: dict[str, Label] = {
        name: (str(home), "", None) for home, names in members.items() if len(names) > 1 for name in names
    }
    if not labels:
        raise InputError(
            f"No folder below {folder} holds two pictures.", hint="put the pictures of a thing into a folder of its own"
        )
    alone = homes.keys() - labels.keys()
    _record(catalog, labels, alone, seed=seed, drawn_by=lambda home: str(PurePath(home).relative_to(root)))
    notes = []
    if alone:
        notes.append(f"Alone in a folder and in no group: {_few(sorted(alone))}.")
    if twins:
        notes.append(f"The same picture in two folders counts in the first: {_few(twins)}.")
    return tuple(notes)


def _record(
    catalog: Catalog,
    labels: Mapping[str, Label],
    alone: Iterable[str],
    *,
    seed: int,
    drawn_by: Callable[[str], str] = str,
) -> None:
    """Write groups in one transaction. A group has one split: the one given, else the one it had, else one by its name.

    Args:
        labels: External id of a picture -> its label.
        alone: Those that leave their group.
        drawn_by: Name of a group by which its split is drawn: folders that were moved as a whole keep theirs.
    """
    with catalog.transaction():
        images.ungroup(catalog, alone)
        before = images.grouped(catalog)
        merged: dict[str, Label] = {**before, **labels}
        touched = list(dict.fromkeys(group for group, _, _ in labels.values()))
        members: dict[str, list[str]] = {group: [] for group in touched}
        for name, (group, _, _) in merged.items():
            if group in members:
                members[group].append(name)
        fixed = [
            strictest(labels[name][2] for name in members[group] if name in labels)
            or strictest(before[name][2] for name in members[group] if name in before)
            for group in touched
        ]
        splits = join([drawn_by(group) for group in touched], fixed, np.arange(len(touched)), seed=seed).splits
        images.set_groups(
            catalog,
            [
                (name, group, merged[name][1] or before.get(name, ("", "", None))[1], split)
                for group, split in zip(touched, splits, strict=True)
                for name in members[group]
            ],
        )


def _few(names: Sequence[str]) -> str:
    """The number of pictures, and the first names."""
    listing = ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
    return f"{len(names):,} {'picture' if len(names) == 1 else 'pictures'} ({listing})"
