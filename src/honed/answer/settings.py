"""What a release pins of its search: what counts on the keyword side, and how both sides are fused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from honed.answer.fusion import FusionSettings
from honed.index.lexical import LexicalSettings


@dataclass(frozen=True, slots=True)
class RetrievalSettings:
    """Both halves of a search, apart from its models; the default has nothing that was fitted."""

    lexical: LexicalSettings = field(default_factory=LexicalSettings.plain)
    fusion: FusionSettings = field(default_factory=FusionSettings)

    @property
    def words_count(self) -> bool:
        """Whether the keyword side has any weight."""
        return self.fusion.weight < 1.0

    @property
    def vectors_count(self) -> bool:
        """Whether the vector side has any weight."""
        return self.fusion.weight > 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> RetrievalSettings:
        """Read what `as_dict` gave."""
        return cls(LexicalSettings(**value["lexical"]), FusionSettings(**value["fusion"]))

    @classmethod
    def before_choices(cls, weight: float, pool: int) -> RetrievalSettings:
        """The settings of releases that are older than these settings, so that they rank as they did."""
        lexical = LexicalSettings(title_weight=0.5, drop_stop_words=True, longest=32)
        return cls(lexical, FusionSettings("best", weight, pool))

    def __str__(self) -> str:
        if not self.words_count:
            return "vectors alone"
        words = f"BM25 ({', '.join(_in_words(self.lexical)) or 'plain'})"
        if not self.vectors_count:
            return words
        return f"{words}, {_SCORES[self.fusion.normalisation]} fused at {self.fusion.weight:.2f} for vectors"


_SCORES = {
    "absolute": "absolute scores",
    "z": "z-scores",
    "min-max": "min-max scores",
    "best": "scores by the best",
    "ranks": "reciprocal ranks",
}


def _in_words(lexical: LexicalSettings) -> list[str]:
    """What differs from plain BM25, in a few words each."""
    plain = LexicalSettings.plain()
    phrases = {
        f"title {lexical.title_weight:g}": lexical.title_weight != plain.title_weight,
        "stop words, too": lexical.drop_stop_words != plain.drop_stop_words,
        f"stems {lexical.stemmed:g}, words as written {lexical.exact:g}": lexical.exact != plain.exact,
        f"presence {lexical.presence:g}": lexical.presence != plain.presence,
        f"{lexical.longest} rarest words": lexical.longest is not None,
    }
    return [phrase for phrase, differs in phrases.items() if differs]
