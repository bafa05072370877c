"""The projection head that pytorch-metric-learning documents, and ours, on the same cached descriptors.

    python benchmarks/images/peer_pml.py PACK [--folds 4] [--split test] [--cache DIR]

"As documented" has the setting of the library's example MetricLossOnly: an embedder MLP([d, 64]), which is one layer,
MultiSimilarityMiner(epsilon=0.1), TripletMarginLoss(margin=0.1), MPerClassSampler(m=4), batches of 32, Adam with rate and weight
decay 1e-4, 4 epochs. The example trains its trunk along, so a second peer gets what a user would try next on fixed descriptors:
the multi-similarity and the supervised contrastive loss, 512 numbers, up to 60 epochs at two rates, the best of all by dev. Both
get descriptors whose parts are centred and brought to one scale, as our heads do.

Without --split test only train and dev are read. With it, everything is picked on dev before test is opened, and test is
measured once.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from drawings import Drawings, folds, load
from honed.roles.image_retriever.bench import ImageBench, ImageRecipe
from honed.roles.image_retriever.closed import Scaling
from honed.roles.image_retriever.free import tune_discriminant, tune_whitening
from pytorch_metric_learning import losses, miners, samplers

from honed.models.vision.head import ImageHead, unit

EPOCHS = 60
Vectors = np.ndarray


def recall(drawings: Drawings, rows: np.ndarray, vectors: Vectors) -> dict[str, float]:
    """Means of every metric."""
    return {
        name: float(np.nanmean(values))
        for name, values in drawings.board(rows).measure(unit(vectors.astype(np.float32))).items()
    }


def documented(train: np.ndarray, labels: np.ndarray) -> Iterator[torch.nn.Module]:
    """The example of the library, epoch by epoch."""
    yield from fitted(train, labels, losses.TripletMarginLoss(margin=0.1), width=64, batch=32, rate=1e-4, epochs=4,
                      miner=miners.MultiSimilarityMiner(epsilon=0.1))  # fmt: skip


def tried(train: np.ndarray, labels: np.ndarray) -> Iterator[torch.nn.Module]:
    """What a user would try next."""
    for loss in (losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5), losses.SupConLoss(temperature=0.1)):
        for rate in (1e-4, 1e-3):
            yield from fitted(train, labels, loss, width=512, batch=128, rate=rate, epochs=EPOCHS)


def fitted(train, labels, loss, *, width, batch, rate, epochs, miner=None):  # noqa: PLR0913 - a table of settings
    torch.manual_seed(0)
    head = torch.nn.Linear(train.shape[1], width)
    optimiser = torch.optim.Adam(head.parameters(), lr=rate, weight_decay=1e-4)
    rows, given = torch.from_numpy(train), torch.from_numpy(labels)
    np.random.seed(0)  # noqa: NPY002 - the sampler draws from numpy's global state
    sampler = samplers.MPerClassSampler(labels, m=4, batch_size=batch, length_before_new_iter=len(labels))
    for _ in range(epochs):
        order = list(sampler)
        for start in range(0, len(order) - batch + 1, batch):
            picked = order[start : start + batch]
            vectors = head(rows[picked])
            value = loss(vectors, given[picked], miner(vectors, given[picked]) if miner else None)
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
        yield head


def best_peer(heads: Iterator[torch.nn.Module], drawings: Drawings, scaled: np.ndarray, dev: np.ndarray):
    """The head that dev likes best over all epochs and losses, as numpy."""
    best = (-1.0, None)
    for head in heads:
        with torch.no_grad():
            score = recall(drawings, dev, head(torch.from_numpy(scaled[dev])).numpy())["recall@1"]
        if score > best[0]:
            best = (score, (head.weight.detach().numpy().T.copy(), head.bias.detach().numpy().copy()))
    return best[1]


def systems(drawings: Drawings, train: np.ndarray, dev: np.ndarray) -> dict[str, tuple[object, float]]:
    """Name -> (function from descriptors to vectors, CPU seconds), each picked on `dev`."""
    found: dict[str, tuple[object, float]] = {}
    descriptors, groups = drawings.descriptors, drawings.groups
    first = (drawings.parts or (descriptors.shape[1],))[0]
    found["untuned, last map"] = (lambda x: x[:, :first], 0.0)
    found["untuned, all maps"] = (lambda x: x, 0.0)
    scaling = Scaling.of(descriptors[train], drawings.parts)
    centre = (descriptors[train] * scaling.factors).mean(axis=0)
    scaled = descriptors * scaling.factors - centre
    for name, recipe in (("peer, as documented", documented), ("peer, tuned on dev", tried)):
        started = time.process_time()
        weight, bias = best_peer(recipe(scaled[train], groups[train]), drawings, scaled, dev)
        found[name] = (
            lambda x, weight=weight, bias=bias: (x * scaling.factors - centre) @ weight + bias,
            time.process_time() - started,
        )
    with TemporaryDirectory() as folder:
        bench = ImageBench(
            descriptors[train], groups[train], descriptors[dev], drawings.board(dev), Path(folder), ImageRecipe(threads=1),
            lambda _: None, parts=drawings.parts,
        )  # fmt: skip
        for fit in (tune_whitening, tune_discriminant):
            started = time.process_time()
            head: ImageHead = fit(bench).head
            found[f"honed, {fit.__name__.removeprefix('tune_')}"] = (head.apply, time.process_time() - started)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("/tmp/honed-images"))
    parser.add_argument("--folds", type=int, default=0, help="measure on folds over train and dev instead")
    parser.add_argument("--split", choices=("dev", "test"), default="dev")
    given = parser.parse_args()
    torch.set_num_threads(1)
    splits = ("train", "dev", "test") if given.split == "test" else ("train", "dev")
    drawings = load(given.pack, splits, given.cache)
    train, dev = (np.flatnonzero(drawings.splits == split) for split in ("train", "dev"))
    if given.folds:
        known = np.flatnonzero(drawings.splits != "test")
        rows: dict[str, list[dict[str, float]]] = {}
        for learn, held in folds(drawings.groups[known], given.folds):
            learn, held = known[learn], known[held]
            inner = np.isin(drawings.groups[learn], np.unique(drawings.groups[learn])[::8])  # a dev of the fold's own
            for name, (apply, _) in systems(drawings, learn[~inner], learn[inner]).items():
                rows.setdefault(name, []).append(recall(drawings, held, apply(drawings.descriptors[held])))
        result = {
            name: {metric: float(np.mean([one[metric] for one in found])) for metric in found[0]}
            for name, found in rows.items()
        }
    else:
        held = np.flatnonzero(drawings.splits == given.split)
        result = {
            name: recall(drawings, held, apply(drawings.descriptors[held])) | {"cpu_seconds": round(cpu, 1)}
            for name, (apply, cpu) in systems(drawings, train, dev).items()
        }
    what = f"{given.folds} folds over train and dev" if given.folds else given.split
    print(json.dumps({"pack": given.pack.name, "measured_on": what, "systems": result}, indent=1))


if __name__ == "__main__":
    main()
