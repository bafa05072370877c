"""Images: add, fetch, group; and their descriptors, which belong to an encoder's space and to the hash of a picture."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from honed.catalog import splits
from honed.catalog.database import BATCH, Catalog, Change
from honed.catalog.documents import ITEM, filter_clause
from honed.catalog.vectors import held
from honed.types import SPLITS, ImageRecord, Split

BLOCK = 4096
"""Descriptors a block: 21 MB of 1,280 numbers each."""

_SPLIT = "coalesce((SELECT s.split FROM splits s WHERE s.kind = 'picture' AND s.name = g.document), g.split)"
"""The stored split of a picture `g` of a group, or, until it is stored, the one that it came with."""

_RECORD = (
    "i.id, d.id, i.ordinal, i.media, i.kind, i.width, i.height, i.caption, i.phash, i.page,"
    " (SELECT p.id FROM passages p WHERE p.rowid = i.passage), d.external_id,"
    " coalesce((SELECT min(path) FROM sources s WHERE s.document = d.id), '')"
)


class Member(NamedTuple):
    """An image of a group: pictures of one group show the same thing, each in its variant."""

    rowid: int
    external_id: str
    group: str
    variant: str
    split: Split


def image_id(document: str, ordinal: int, media: str) -> str:
    """Id of an image: equal inputs give equal ids."""
    return hashlib.sha256(f"{document}\0image {ordinal}\0{media}".encode()).hexdigest()[:24]


def media_key(media: str) -> bytes:
    """Key of a picture's descriptors in `vectors`: the first half of its sha256."""
    return bytes.fromhex(media)[:16]


def add(catalog: Catalog, document: str, records: Sequence[ImageRecord]) -> None:
    """Insert the images of a document that was just added, inside the caller's transaction; again changes nothing.

    Args:
        document: Its id.
        records: `passage` names one of its passages; `external_id` and `source` are not looked at.
    """
    catalog.executemany(
        "INSERT INTO images"
        " (id, document, media, kind, ordinal, page, width, height, caption, passage, phash)"
        " VALUES (?, (SELECT rowid FROM documents WHERE id = ?), ?, ?, ?, ?, ?, ?, ?,"
        " (SELECT rowid FROM passages WHERE id = ?), ?) ON CONFLICT (id) DO NOTHING",
        (
            (
                r.id,
                document,
                r.media,
                r.kind,
                r.ordinal,
                r.page,
                r.width,
                r.height,
                r.caption,
                r.passage,
                _packed(r.phash),
            )
            for r in records
        ),
    )


# -- what came and went ----------------------------------------------------------------------------------------------


def seq(catalog: Catalog) -> int:
    """Number of the last change to the images; 0 when there was none."""
    return int(catalog.execute("SELECT coalesce(max(seq), 0) FROM image_changes").fetchone()[0])


def changes_since(catalog: Catalog, number: int) -> list[Change]:
    """Images that came and went after a change number, in order."""
    rows = catalog.execute("SELECT seq, image, op FROM image_changes WHERE seq > ? ORDER BY seq", (number,))
    return [Change(*row) for row in rows]


# -- fetching --------------------------------------------------------------------------------------------------------


def counts(catalog: Catalog) -> dict[str, int]:
    """Number of images of each kind."""
    return dict(catalog.execute("SELECT kind, count(*) FROM images GROUP BY kind ORDER BY kind").fetchall())


def by_rowid(catalog: Catalog, rowids: Sequence[int] | NDArray[np.int64]) -> dict[int, ImageRecord]:
    """Images by row id; those that are gone are left out."""
    rows = catalog.over(
        f"SELECT i.rowid, {_RECORD} FROM images i JOIN documents d ON d.rowid = i.document",
        "i.rowid",
        np.asarray(rowids, np.int64),
    )
    return {row[0]: _record(row[1:]) for row in rows}


def of_passages(catalog: Catalog, passages: Sequence[str]) -> list[ImageRecord]:
    """The images whose caption, or the text around them, stands in some passages (by id), in order of row ids."""
    wanted = list(dict.fromkeys(passages))
    rowids: list[int] = []
    for start in range(0, len(wanted), BATCH):
        batch = wanted[start : start + BATCH]
        marks = ",".join("?" * len(batch))
        rowids += [
            row[0]
            for row in catalog.execute(
                f"SELECT i.rowid FROM images i JOIN passages p ON p.rowid = i.passage WHERE p.id IN ({marks})", batch
            )
        ]
    return list(by_rowid(catalog, sorted(rowids)).values())


def of_media(catalog: Catalog, media: str) -> list[int]:
    """Row ids of the images that are this very picture, in order."""
    rows = catalog.execute(
        "SELECT rowid FROM images WHERE substr(media, 1, 32) = ? AND media = ? ORDER BY rowid", (media[:32], media)
    )
    return [row[0] for row in rows]


def filtered_rowids(catalog: Catalog, filters: Sequence[tuple[str, str]]) -> NDArray[np.int64]:
    """Row ids of the images whose document has every `key=value`, as `documents.filtered_rowids` says for passages."""
    where, parameters = filter_clause(filters)
    rows = catalog.execute(
        f"SELECT i.rowid FROM images i JOIN documents d ON d.rowid = i.document WHERE {where} ORDER BY i.rowid",
        parameters,
    ).fetchall()
    return np.fromiter((row[0] for row in rows), np.int64, len(rows))


def medias(catalog: Catalog) -> tuple[NDArray[np.int64], list[str]]:
    """Row id and media of every image, in rowid order."""
    rows = catalog.execute("SELECT rowid, media FROM images ORDER BY rowid").fetchall()
    return np.fromiter((row[0] for row in rows), np.int64, len(rows)), [row[1] for row in rows]


def phashes(catalog: Catalog) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Row id and perceptual hash of every image, in rowid order."""
    rows = catalog.execute("SELECT rowid, phash FROM images ORDER BY rowid").fetchall()
    hashes = np.frombuffer(b"".join(row[1] for row in rows), ">u8").astype(np.uint64)
    return np.fromiter((row[0] for row in rows), np.int64, len(rows)), hashes


def passages_of(catalog: Catalog) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row ids of images and of the passages that hold their captions, in order of the images; those without one are left out."""
    rows = catalog.execute("SELECT rowid, passage FROM images WHERE passage IS NOT NULL ORDER BY rowid").fetchall()
    both = np.array(rows, np.int64).reshape(-1, 2)
    return both[:, 0].copy(), both[:, 1].copy()


# -- groups ----------------------------------------------------------------------------------------------------------


def set_groups(catalog: Catalog, members: Iterable[tuple[str, str, str, Split]]) -> None:
    """Record (document external id, group, variant, split), inside the caller's transaction; the newest word counts.

    A stored split that no run has taken yet gives way to that of the group; one that is final stays.
    """
    members = list(members)
    splits.drop_unused(catalog, "picture", (name for name, *_ in members))
    catalog.executemany("INSERT OR REPLACE INTO image_groups VALUES (?, ?, ?, ?)", members)


def forget_groups(catalog: Catalog) -> None:
    """Drop what was said of documents that are gone, inside the caller's transaction; a file that cannot be read is there."""
    catalog.execute(
        "DELETE FROM image_groups WHERE NOT EXISTS (SELECT 1 FROM documents d WHERE d.external_id = image_groups.document)"
        " AND NOT EXISTS (SELECT 1 FROM sources s WHERE s.path = image_groups.document)"
    )


def ungroup(catalog: Catalog, names: Iterable[str]) -> None:
    """Drop what was said of some documents (by external id), inside the caller's transaction."""
    catalog.executemany("DELETE FROM image_groups WHERE document = ?", ((name,) for name in names))


def grouped(catalog: Catalog) -> dict[str, tuple[str, str, Split]]:
    """Group, variant and split of every document (by external id) of which they were said."""
    rows = catalog.execute(f"SELECT g.document, g.name, g.variant, {_SPLIT} FROM image_groups g ORDER BY g.document")
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


def group_counts(catalog: Catalog) -> dict[str, Any]:
    """How many groups there are, how many picture files belong to one, and how many of those to each split."""
    members = groups(catalog)
    count = Counter(member.split for member in members)
    return {
        "groups": len({member.group for member in members}),
        "pictures": len(members),
        "splits": {split: count[split] for split in SPLITS},
    }


def added_files(catalog: Catalog) -> list[tuple[str, str]]:
    """(external id, path) of every picture file that was added, in order of paths; not those of an imported pack."""
    rows = catalog.execute(
        "SELECT d.external_id, s.path FROM images i JOIN documents d ON d.rowid = i.document"
        " JOIN sources s ON s.document = d.id"
        " WHERE i.kind = 'file' AND NOT (s.mtime_ns = 0 AND instr(s.path, ?)) ORDER BY s.path",
        (ITEM,),
    )
    return [(row[0], row[1]) for row in rows]


def media_of_files(catalog: Catalog) -> Iterator[tuple[str, str]]:
    """(document, media) of every picture file."""
    yield from catalog.execute(
        "SELECT d.id, i.media FROM images i JOIN documents d ON d.rowid = i.document WHERE i.kind = 'file'"
    )


def files(catalog: Catalog) -> list[tuple[int, str]]:
    """Row id and document's external id of every picture file, in a group or not, in rowid order."""
    return [(rowid, name) for rowid, name, _ in media_files(catalog)]


def media_files(catalog: Catalog) -> list[tuple[int, str, str]]:
    """Row id, document's external id and sha256 of the rendering of every picture file, in rowid order."""
    return catalog.execute(
        "SELECT i.rowid, d.external_id, i.media FROM images i JOIN documents d ON d.rowid = i.document"
        " WHERE i.kind = 'file' ORDER BY i.rowid"
    ).fetchall()


def groups(catalog: Catalog, split: Split | None = None) -> list[Member]:
    """The picture files that belong to a group, in rowid order, of one split or of all."""
    rows = catalog.execute(
        f"SELECT i.rowid, d.external_id, g.name, g.variant, {_SPLIT} FROM images i JOIN documents d ON d.rowid = i.document"
        " JOIN image_groups g ON g.document = d.external_id WHERE i.kind = 'file' ORDER BY i.rowid"
    )
    return [member for member in map(Member._make, rows) if split in (None, member.split)]


# -- descriptors -----------------------------------------------------------------------------------------------------


def missing_descriptors(catalog: Catalog, space: str) -> list[str]:
    """Media of the images without a descriptor in a space, each once, in the order in which they came."""
    described = {row[0] for row in catalog.execute("SELECT text_hash FROM vectors WHERE space = ?", (space,))}
    rows = catalog.execute("SELECT media FROM images GROUP BY media ORDER BY min(rowid)")
    return [row[0] for row in rows if media_key(row[0]) not in described]


def put_descriptors(catalog: Catalog, space: str, medias_: Sequence[str], matrix: NDArray[np.float32]) -> None:
    """Keep raw descriptors [len(medias_), d] by the hash of their picture; one durable transaction."""
    catalog.put_vectors(space, [media_key(media) for media in medias_], matrix)


def descriptors(
    catalog: Catalog, space: str, rowids: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Row ids [n] and raw descriptors [n, d] of the images that have one in a space, in rowid order."""
    blocks = list(descriptor_blocks(catalog, space, rowids))
    if not blocks:
        return np.empty(0, np.int64), np.empty((0, 0), np.float32)
    return np.concatenate([block[0] for block in blocks]), np.concatenate([block[1] for block in blocks])


def descriptor_blocks(
    catalog: Catalog, space: str, rowids: NDArray[np.int64] | None = None, *, size: int = BLOCK
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Yield what `descriptors` gives in blocks of at most `size` images, because all at once may not fit into memory."""
    images = list(catalog.over("SELECT i.rowid, i.media FROM images i", "i.rowid", rowids))
    for start in range(0, len(images), size):
        block = images[start : start + size]
        vectors = held(catalog, space, [media_key(row[1]) for row in block])
        kept = [(row[0], vector) for row in block if (vector := vectors.get(media_key(row[1]))) is not None]
        if kept:
            matrix = np.frombuffer(b"".join(vector for _, vector in kept), np.float32).reshape(len(kept), -1)
            yield np.fromiter((rowid for rowid, _ in kept), np.int64, len(kept)), matrix


def described_spaces(catalog: Catalog) -> set[str]:
    """Spaces in which some image has a descriptor."""
    rows = catalog.execute(
        "SELECT DISTINCT v.space FROM vectors v WHERE EXISTS (SELECT 1 FROM images i WHERE"
        " substr(i.media, 1, 32) = lower(hex(v.text_hash)))"
    )
    return {row[0] for row in rows}


def _packed(phash: int) -> bytes:
    return phash.to_bytes(8, "big")


def _record(row: Sequence[object]) -> ImageRecord:
    fields = list(row)
    assert isinstance(fields[8], bytes)
    fields[8] = int.from_bytes(fields[8], "big")
    return ImageRecord(*fields)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class CatalogImages:
    """The catalog as the image index sees it (`index.images.ImageSource`)."""

    catalog: Catalog

    @property
    def seq(self) -> int:
        """Number of the last change to images; 0 when there was none."""
        return seq(self.catalog)

    def changes_since(self, seq: int) -> list[Change]:
        """Changes with a number above `seq`, in order."""
        return changes_since(self.catalog, seq)

    def phashes(self) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Row id and perceptual hash of every image, in rowid order."""
        return phashes(self.catalog)

    def descriptor_blocks(
        self, space: str, rowids: NDArray[np.int64] | None = None
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Images that have a descriptor in a space, a few thousand at a time."""
        return descriptor_blocks(self.catalog, space, rowids)
