from __future__ import annotations

import numpy as np
import pytest

from honed.catalog import Catalog, documents, images
from tests.catalog.make import drop, put
from tests.catalog.pictures import media, record, show


def test_images_come_back_as_they_were_put(catalog: Catalog) -> None:
    key = put(catalog, "a.pdf", "first", "second")
    put(catalog, "b.png")
    figure = record(key, "x", page=3, passage=f"{key}:1", phash=2**64 - 1, caption="Fig. 1: ünï 文")
    with catalog.transaction():
        images.add(catalog, key, [figure])
        images.add(catalog, key, [figure])
    show(catalog, "id-of-b.png", "y", kind="file")
    rowids = images.medias(catalog)[0].tolist()
    assert len(rowids) == 2, "each once"
    found = images.by_rowid(catalog, [rowids[1], rowids[0], 99])
    assert list(found) == rowids
    assert found[1].external_id == found[1].source == "a.pdf"
    assert found[1] == images.by_rowid(catalog, np.array([1]))[1]
    assert (found[1].phash, found[1].page, found[1].passage, found[1].caption) == (
        2**64 - 1,
        3,
        f"{key}:1",
        "Fig. 1: ünï 文",
    )
    assert (found[rowids[1]].passage, found[rowids[1]].page, found[rowids[1]].kind) == (None, None, "file")
    assert images.counts(catalog) == {"figure": 1, "file": 1}
    assert images.counts(catalog) == documents.counts(catalog)["images"]


def test_changes_tell_what_came_and_went(catalog: Catalog) -> None:
    assert images.seq(catalog) == 0
    put(catalog, "a")
    show(catalog, "id-of-a", "x", "y")
    middle = images.seq(catalog)
    drop(catalog, "a")
    assert [(change.rowid, change.op) for change in images.changes_since(catalog, 0)] == [
        (1, "add"), (2, "add"), (1, "remove"), (2, "remove"),
    ]  # fmt: skip
    put(catalog, "b")
    show(catalog, "id-of-b", "x")
    assert [change.rowid for change in images.changes_since(catalog, middle + 2)] == [3], "numbers are never used again"


def test_deleting_the_document_row_alone_is_told_too(catalog: Catalog) -> None:
    put(catalog, "a")
    show(catalog, "id-of-a", "x")
    with catalog.transaction():
        documents.remove_sources(catalog, ["a"])
        catalog.execute("DELETE FROM documents")
    assert [change.op for change in images.changes_since(catalog, 1)] == ["remove"]


def test_an_image_outlives_its_passage(catalog: Catalog) -> None:
    put(catalog, "a", "text")
    show(catalog, "id-of-a", "x", passage="id-of-a:0")
    assert [rows.tolist() for rows in images.passages_of(catalog)] == [[1], [1]]
    with catalog.transaction():
        catalog.execute("DELETE FROM passages")
    assert [rows.tolist() for rows in images.passages_of(catalog)] == [[], []]
    assert images.by_rowid(catalog, [1])[1].passage is None


def test_an_image_of_no_document_is_refused(catalog: Catalog) -> None:
    with pytest.raises(Exception, match="NOT NULL"):
        show(catalog, "nothing", "x")


def test_perceptual_hashes_keep_all_their_bits(catalog: Catalog) -> None:
    assert [found.tolist() for found in images.phashes(catalog)] == [[], []]
    put(catalog, "a")
    for at, value in enumerate((0, 1, 2**63, 2**64 - 1)):
        with catalog.transaction():
            images.add(catalog, "id-of-a", [record("id-of-a", f"{at}", ordinal=at, phash=value)])
    rowids, hashes = images.phashes(catalog)
    assert (rowids.dtype, hashes.dtype) == (np.int64, np.uint64)
    assert hashes.tolist() == [0, 1, 2**63, 2**64 - 1]
    assert images.medias(catalog)[1] == [media(f"{at}") for at in range(4)]
    assert images.of_media(catalog, media("2")) == [3]
    assert images.of_media(catalog, media("none")) == []


def test_descriptors_belong_to_pictures_and_spaces(catalog: Catalog) -> None:
    put(catalog, "a")
    put(catalog, "b")
    show(catalog, "id-of-a", "same", "other")
    show(catalog, "id-of-b", "same")
    assert images.descriptors(catalog, "s1")[0].size == 0
    missing = images.missing_descriptors(catalog, "s1")
    assert missing == [media("same"), media("other")], "each picture once"
    matrix = 7.5 * np.eye(2, 4, dtype=np.float32)
    images.put_descriptors(catalog, "s1", missing, matrix)
    rowids, found = images.descriptors(catalog, "s1")
    assert (rowids.tolist(), found.dtype) == ([1, 2, 3], np.float32)
    assert (found == matrix[[0, 1, 0]]).all(), "raw, not of unit length"
    assert images.missing_descriptors(catalog, "s1") == []
    assert images.missing_descriptors(catalog, "s2") == missing
    assert images.descriptors(catalog, "s1", np.array([3, 99, 2]))[0].tolist() == [2, 3]
    assert images.described_spaces(catalog) == {"s1"}
    drop(catalog, "a", "b")
    assert images.described_spaces(catalog) == set()


def test_blocks_leave_out_what_has_no_descriptor(catalog: Catalog) -> None:
    put(catalog, "a")
    show(catalog, "id-of-a", *(str(at) for at in range(1203)))
    wanted = [media(str(at)) for at in range(1203) if at != 600]
    images.put_descriptors(catalog, "s", wanted, np.arange(1202, dtype=np.float32)[:, None])
    blocks = list(images.descriptor_blocks(catalog, "s", size=500))
    assert [len(rowids) for rowids, _ in blocks] == [500, 499, 203]
    assert np.concatenate([matrix[:, 0] for _, matrix in blocks]).tolist() == list(range(1202))


def test_groups_go_by_the_id_that_outlives_a_changed_file(catalog: Catalog) -> None:
    for name in ("a", "b", "c"):
        put(catalog, name)
        show(catalog, f"id-of-{name}", name, kind="file")
    show(catalog, "id-of-c", "c", "inside", kind="figure")
    with catalog.transaction():
        images.set_groups(
            catalog, [("a", "cat", "noto", "train"), ("b", "cat", "tw", "dev"), ("gone", "cat", "x", "dev")]
        )
        images.set_groups(catalog, [("b", "cat", "twemoji", "train"), ("c", "dog", "", "test")])
    assert images.groups(catalog) == [
        (1, "a", "cat", "noto", "train"), (2, "b", "cat", "twemoji", "train"), (3, "c", "dog", "", "test"),
    ]  # fmt: skip
    assert [member.rowid for member in images.groups(catalog, "test")] == [3]
    drop(catalog, "a")
    with catalog.transaction():
        images.forget_groups(catalog)
    assert [member.external_id for member in images.groups(catalog)] == ["b", "c"]
    assert catalog.execute("SELECT document FROM image_groups").fetchall() == [("b",), ("c",)]
