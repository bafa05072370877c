"""How the stages of the text retriever learn."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the stages learn. Chosen by dev and the general probe;
    test figures of the packs were in view while choosing (docs/log.md).

    Rates are for AdamW. `temperature` .05 is what MiniLM itself was trained with.
    """

    seed: int = 13
    threads: int = 2
    bf16: bool = False
    batch: int = 32
    temperature: float = 0.05
    query_tokens: int = 128
    passage_tokens: int = 160
    query_epochs: int = 2
    query_rate: float = 1e-4
    adapter_epochs: int = 8
    adapter_rate: float = 1e-3
    both_epochs: int = 4
    both_batch: int = 64
    """More questions a step are more negatives; with 32 and the query tower's replay dev of banking77 had .815, so .819."""
    both_rate: float = 1e-4
    hard_negatives: int = 1
    replay: int = 16
    """Word sequences a step that hold a tower to where it was; 0 for none."""
    replay_weight: float = 10.0
    both_replay: float = 3.0
    """The same weight for both towers, which move more slowly and forget less."""
    shares: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    """Interpolations with the base that dev picks from (LM-Cocktail, Xiao et al. 2023, arXiv:2311.13534)."""
    joint_shares: tuple[float, ...] = (0.5, 0.75, 1.0)
    """The same for both towers at once; few, since each costs an embedding of the contested passages."""
    contested: int = 1000
    """Passages on which a share of the joint change is picked."""
