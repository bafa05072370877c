"""What a painter learns from and is asked for: references from live search, of every picture there is, never of itself."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="tuning needs the extra: pip install 'honed[tune]'")
pytest.importorskip("diffusers", reason="drawing needs the extra: pip install 'honed[imagine]'")

from honed.catalog import images
from honed.dataset.image_labels import label_by_folder
from honed.errors import UsageError
from honed.ingest.sandbox import Sandbox
from honed.ingest.sync import Intake, sync
from honed.roles.image_generator import collection as module
from honed.roles.image_generator.collection import collect
from honed.roles.image_generator.distance import LIKENESS
from honed.roles.image_generator.snapshot import test_set as ledger_set
from honed.session import Session, open_session
from honed.settle import settle
from honed.types import Split
from honed.workspace import create

THINGS = 24


def split_of(member: images.Member) -> Split:
    thing = int(member.external_id.partition("thing")[2].partition(" ")[0].partition("/")[0])
    return "train" if thing < 12 else "dev" if thing < 18 else "test"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """Things in folders of three pictures, and one picture of each that lies in no folder."""
    shop = tmp_path_factory.mktemp("shop")
    for thing in range(THINGS):
        rng = np.random.default_rng(thing)
        fields = rng.integers(0, 255, (6, 6, 3), np.uint8)
        for view in range(4):
            pixels = np.kron(np.roll(fields, view, axis=1), np.ones((6, 6, 1), np.uint8))
            path = shop / (f"thing{thing}" if view < 3 else "") / f"thing{thing} view{view}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(pixels).save(path)
    settings = 'embedder = "hash:256"\ngenerator = "extractive"\nimage_encoder = "thumbnail:8"\nthreads = 1\n'
    workspace = create(tmp_path_factory.mktemp("ws") / "ws", settings)
    with open_session(workspace, create=True) as opened, Sandbox(ocr=False) as sandbox:
        sync(Intake(workspace, opened.catalog, sandbox, 160), [shop])
        label_by_folder(opened.catalog, shop, seed=1)
        members = images.groups(opened.catalog)
        with (
            opened.catalog.transaction()
        ):  # by number: folders' names, and with them drawn splits, differ from run to run
            images.set_groups(opened.catalog, [(one.external_id, one.group, "", split_of(one)) for one in members])
        settle(opened, lambda _: None)
        yield opened


def test_references_come_from_everywhere_but_train_draws_on_train(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEAST_TEST", 3)
    found = collect(session, 16, 3, lambda _: None)
    pictures, rows = found.pictures, found.rows
    assert sum(found.sizes.values()) <= 3 * THINGS
    grouped = {name for name, group in zip(found.listing.ids, pictures.groups.tolist(), strict=True) if group >= 0}
    assert len(grouped) == sum(found.sizes.values())
    train = pictures.references[rows["train"]]
    assert np.isin(train[train >= 0], rows["train"]).all(), "nothing held out is drawn from in train"
    held_out = np.concatenate([rows["dev"], rows["test"]])
    known = pictures.references[held_out]
    assert (known >= 0).all()
    assert not (known == held_out[:, None]).any()
    strangers = pictures.groups[known] < 0
    assert strangers.any(), "live search also finds pictures of no group"
    assert (pictures.pixels[known[strangers]] > 0).any()
    assert len(np.unique(pictures.groups[pictures.groups < 0])) == int((pictures.groups < 0).sum())


def test_only_what_is_drawn_is_looked_up(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_TEST", 3)
    whole = collect(session, 16, 2, lambda _: None)
    monkeypatch.setattr(module, "MOST_TEST", 8)
    some = collect(session, 16, 2, lambda _: None)
    assert len(some.rows["test"]) == 8 < some.sizes["test"] == whole.sizes["test"]
    names = [ledger_set(found, "test", LIKENESS, fresh_only=False).names for found in (some, whole)]
    assert names[0] == names[1], "the ledger knows the whole test set"


def test_one_group_has_nothing_to_be_compared_with(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_TEST", 3)
    members = images.groups(session.catalog)
    with session.catalog.transaction():
        images.set_groups(
            session.catalog,
            [(one.external_id, "all" if one.split == "test" else one.group, "", one.split) for one in members],
        )
    with pytest.raises(UsageError, match="belong to one group") as refused:
        collect(session, 16, 3, lambda _: None)
    assert "honed label" in refused.value.hint
