"""The local image encoder: a picture, a graph, a runtime. No torch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from honed.errors import UsageError
from honed.models.probe import PROBE_FROM, probe
from honed.models.registry import Spec
from honed.models.runtime import REFERENCE, Runtime, open_runtime
from honed.models.vision.folder import ImageTower, package_tower, read_encoder_folder
from honed.models.vision.prepare import Pixels, Preparation
from honed.protocols import ImageEncoder

if TYPE_CHECKING:
    from PIL import Image

BATCH = 4
"""Pictures a call of the runtime."""

FEW = 16
"""A call with fewer pictures is a query: it runs in float32 with all cores and does not count towards a probe."""

Descriptors = NDArray[np.float32]
"""Raw pooled features, [n, dimension], not of unit length."""


class LocalImageEncoder:
    """Pictures to raw descriptors on the CPU.

    A few pictures run in float32 with all cores. When `PROBE_FROM` pictures came in larger calls, the runtime takes over
    that a probe of this machine finds fastest, at a mean cosine of at least .99 to float32.
    """

    def __init__(self, tower: ImageTower, *, cache_dir: Path, threads: int = 0, runtime: str = "") -> None:
        """Take a tower; its graph is built or opened when the first picture is encoded.

        Args:
            tower: From `package_tower` or `read_encoder_folder`.
            cache_dir: Where the graph and the probe's choice are kept.
            threads: Cores to use, 0 for all that this process may use.
            runtime: Which of `runtime.RUNTIMES` encodes; empty for float32 first and the probe's choice later.
        """
        self.tower = tower
        self._cache_dir = cache_dir
        self._threads = threads
        self._runtime = runtime
        self._seen = 0
        self._lock = threading.RLock()

    @classmethod
    def from_spec(cls, spec: Spec, **options: Any) -> LocalImageEncoder:
        """The encoder that a spec of the backend `efficientnet-lite0` or `folder` names; options as above."""
        tower = read_encoder_folder(Path(spec.name).expanduser()) if spec.backend == "folder" else package_tower()
        return cls(tower, **options)

    @property
    def dimension(self) -> int:
        """Length of a descriptor."""
        return self.tower.dimension

    @property
    def parts(self) -> tuple[int, ...]:
        """Widths of the parts of a descriptor, the last feature map first."""
        return self.tower.parts

    @property
    def preparation(self) -> Preparation:
        """What happens to a picture before the network."""
        return self.tower.config.preparation

    @cached_property
    def space(self) -> str:
        """Fingerprint of weights, preparation and pooling. 32 hex digits."""
        return self.tower.digest()[:32]

    def prepare(self, image: Image.Image) -> Pixels:
        """The pixels [side, side, 3] that `encode_pixels` takes: a decoded picture need not be kept."""
        return self.preparation(image)

    def encode_image(self, images: Sequence[Image.Image]) -> Descriptors:
        """Encode decoded pictures; returns [len(images), dimension], raw, in the order given."""
        return self._encode(images, self.prepare)

    def encode_pixels(self, pixels: Sequence[Pixels] | Pixels) -> Descriptors:
        """Encode what `prepare` gave, a picture a row; returns [len(pixels), dimension], raw, in the order given.

        Raises:
            UsageError: They were prepared for another encoder.
        """
        side = self.preparation.side
        if any(picture.shape != (side, side, 3) or picture.dtype != np.uint8 for picture in pixels):
            raise UsageError(f"The pixels were not prepared for this encoder, which takes {side} by {side} RGB bytes.")
        return self._encode(pixels, lambda picture: picture)

    def _encode(self, pictures: Sequence[Any] | Pixels, prepare: Callable[[Any], Pixels]) -> Descriptors:
        """Batches of few pictures, as many at once as the runtime has workers. Each worker prepares its own."""
        descriptors = np.empty((len(pictures), self.dimension), np.float32)
        if not len(pictures):
            return descriptors
        runtime = self._chosen(len(pictures))

        def encode(start: int) -> None:
            part = pictures[start : start + BATCH]
            descriptors[start : start + BATCH] = runtime.run(np.stack([prepare(picture) for picture in part]))

        starts = range(0, len(pictures), BATCH)
        with ThreadPoolExecutor(runtime.workers, thread_name_prefix="encode") as pool:
            for _ in pool.map(encode, starts):
                pass
        return descriptors

    def _chosen(self, count: int) -> Runtime:
        """The runtime for a call with so many pictures."""
        with self._lock:
            if not self._runtime:
                self._seen += count if count >= FEW else 0
                if count < FEW or self._seen < PROBE_FROM:
                    return self._exact
                choice = probe(self.tower, self._cache_dir, threads=self._threads)
                self._runtime = choice.runtime if choice else REFERENCE
            return self._fast if count >= FEW else self._exact

    @cached_property
    def _exact(self) -> Runtime:
        return open_runtime(REFERENCE, self.tower, self._cache_dir, threads=self._threads, single=True)

    @cached_property
    def _fast(self) -> Runtime:
        return open_runtime(self._runtime, self.tower, self._cache_dir, threads=self._threads)


def map_widths(encoder: ImageEncoder) -> tuple[int, ...]:
    """Widths of the feature maps inside an encoder's descriptors, the last map first; one part for all but the local one."""
    return encoder.parts if isinstance(encoder, LocalImageEncoder) else (encoder.dimension,)
