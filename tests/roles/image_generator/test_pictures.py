from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from honed.errors import UsageError
from honed.roles.image_generator.pictures import (
    Augmentation,
    Batch,
    Pictures,
    Rows,
    batch_of,
    epoch_rows,
    labels,
    unrelated,
)

Toy = tuple[Pictures, Rows, Rows]
PLAIN = Augmentation(counts=(0.0, 0.0, 1.0), wrong=0.0, wordless=0.0, styleless=0.0, mirrored=0.0, recoloured=0.0)


def equal(one: Batch, other: Batch) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in one.__slots__)


def test_a_batch_is_a_function_of_seed_and_step(toy: Toy) -> None:
    pictures, train, _ = toy
    first = batch_of(pictures, train, seed=1, step=7, size=8)
    assert equal(first, batch_of(pictures, train, seed=1, step=7, size=8))
    assert not equal(first, batch_of(pictures, train, seed=1, step=8, size=8))
    assert not equal(first, batch_of(pictures, train, seed=2, step=7, size=8))


def test_every_picture_comes_once_an_epoch() -> None:
    rows = np.arange(100, 140)
    for epoch in (0, 1):
        seen = np.concatenate([epoch_rows(rows, 8, 3, step) for step in range(5 * epoch, 5 * epoch + 5)])
        assert sorted(seen) == sorted(rows)
    assert len(epoch_rows(rows[:3], 8, 3, 0)) == 8


def test_pictures_are_not_changed(toy: Toy) -> None:
    pictures, train, _ = toy
    before = pictures.pixels.copy()
    for step in range(20):
        batch_of(pictures, train, seed=1, step=step, size=8, augmentation=Augmentation(mirrored=1.0, recoloured=1.0))
    assert np.array_equal(pictures.pixels, before)


def test_without_variety_an_example_is_what_was_retrieved(toy: Toy) -> None:
    pictures, train, _ = toy
    batch = batch_of(pictures, train, seed=1, step=0, size=8, augmentation=PLAIN)
    rows = epoch_rows(train, 8, 1, 0)
    assert np.array_equal(batch.targets, pictures.pixels[rows])
    assert np.array_equal(batch.styles, pictures.styles[rows])
    assert batch.present.all() and batch.worded.all() and not batch.altered.any()
    for at, row in enumerate(rows):
        wanted = {pictures.pixels[one].tobytes() for one in pictures.references[row]}
        assert {picture.tobytes() for picture in batch.references[at]} == wanted


def test_target_and_references_are_altered_together(toy: Toy) -> None:
    pictures, train, _ = toy
    plain = batch_of(pictures, train, seed=1, step=0, size=8, augmentation=PLAIN)
    mirrored = batch_of(pictures, train, seed=1, step=0, size=8, augmentation=replace(PLAIN, mirrored=1.0))
    assert np.array_equal(mirrored.targets, plain.targets[:, :, ::-1])
    assert np.array_equal(mirrored.references, plain.references[:, :, :, ::-1])
    assert mirrored.altered[:, 0].all() and not mirrored.altered[:, 1].any()
    recoloured = batch_of(pictures, train, seed=1, step=0, size=8, augmentation=replace(PLAIN, recoloured=1.0))
    for name in ("targets", "references"):
        one, other = getattr(plain, name), getattr(recoloured, name)
        assert np.array_equal(np.sort(one, axis=-1), np.sort(other, axis=-1))
    assert recoloured.altered[:, 1].all()


def test_shares_are_kept(toy: Toy) -> None:
    pictures, train, _ = toy
    augmentation = Augmentation(counts=(0.2, 0.3, 0.5), wrong=0.0, wordless=0.3, styleless=0.1)
    batches = [batch_of(pictures, train, seed=1, step=step, size=32, augmentation=augmentation) for step in range(60)]
    counts = np.concatenate([batch.present.sum(axis=1) for batch in batches])
    assert [round(float((counts == number).mean()), 1) for number in range(3)] == [0.2, 0.3, 0.5]
    worded = np.concatenate([batch.worded for batch in batches])
    assert 0.65 < worded[counts > 0].mean() < 0.75 and worded[counts == 0].mean() > 0.84
    assert 0.06 < (np.concatenate([batch.styles for batch in batches]) == 0).mean() < 0.14


def test_random_references_are_of_other_groups(toy: Toy) -> None:
    pictures, _, dev = toy
    found = unrelated(pictures.groups, rows=dev, allowed=dev, k=2, seed=0)
    assert np.isin(found, dev).all()
    assert (pictures.groups[found] != pictures.groups[dev][:, None]).all()
    assert np.array_equal(found, unrelated(pictures.groups, rows=dev, allowed=dev, k=2, seed=0))
    with pytest.raises(UsageError):
        unrelated(pictures.groups, rows=dev[:1], allowed=dev[:3], k=2, seed=0)


def test_a_picture_is_no_reference_of_itself(toy: Toy) -> None:
    pictures, _, _ = toy
    wrong = pictures.references.copy()
    wrong[3, 0] = 3
    with pytest.raises(UsageError, match="its own references"):
        replace(pictures, references=wrong)
    with pytest.raises(UsageError, match="as many"):
        replace(pictures, styles=pictures.styles[:-1])


def test_names_become_numbers() -> None:
    assert labels(["b", "a", "", "b"]).tolist() == [2, 1, 0, 2]
