"""Question and contexts to an answer: generate, cite, else extract, else refuse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from honed.answer.cite import REFUSAL, Claim, Draft, claims
from honed.answer.extract import KEEP, Pick, SentenceScorer, candidates, select
from honed.answer.relevance import MIN_RELEVANCE, Similarity, relevances
from honed.protocols import Generator
from honed.types import Answer, Context

EXTRACTIVE = "extractive"
ABOUT = 0.7
"""A passage needs this share of the best one's relevance to be used at all."""
LONGEST = 4
"""Sentences of an answer; a small model that goes on after that repeats itself."""
PATIENCE = 3
"""Sentences without use (unsupported, beside the question, said before) after which the model is stopped."""


def compose(
    question: str,
    contexts: Sequence[Context],
    generator: Generator | None = None,
    *,
    similarity: Similarity | None = None,
    min_relevance: float = MIN_RELEVANCE,
) -> Answer:
    """The answer to a question from its contexts: every sentence cited and checked, or a refusal.

    Without a generator, or when no sentence of it stands the check, the best sentences of the passages are the answer
    (`Answer.generator` then says "extractive"). Passages that are not about the question are refused.

    Args:
        question: The question as it was asked.
        contexts: Retrieved passages, best first.
        generator: A language model, or None.
        similarity: Cosines of the question and texts; sharpens relevance and the choice of sentences.
        min_relevance: Share of the question that the best passage has to cover.
    """
    *_, answer = compose_stream(question, contexts, generator, similarity=similarity, min_relevance=min_relevance)
    return answer


def compose_stream(
    question: str,
    contexts: Sequence[Context],
    generator: Generator | None = None,
    *,
    similarity: Similarity | None = None,
    min_relevance: float = MIN_RELEVANCE,
) -> Iterator[Answer]:
    """The same answer as it grows: one `Answer` a verified sentence, each text beginning with the one before.

    The last one is the whole; an unsupported sentence is never in any. Closing the iterator stops the model.
    """
    contexts = tuple(contexts)
    fits = relevances(question, contexts, similarity)
    best = max(fits, default=0.0)
    if best < min_relevance:
        yield refusal(contexts)
        return
    used = tuple(context for context, fit in zip(contexts, fits, strict=True) if fit >= ABOUT * best)
    scorer = SentenceScorer(question, used, similarity)
    ranked = candidates(used, scorer)
    grown = False
    if generator is not None:
        floor = KEEP * ranked[0].score if ranked else 0.0
        draft = Draft(used, accept=lambda text, context: scorer.scores([text], [context])[0] >= floor)
        for _ in _generated(draft, generator.generate(question, used)):
            grown = True
            yield Answer(draft.text, tuple(draft.citations), False, contexts, generator.name)
    if not grown:
        yield _extracted(contexts, used, select(ranked))


def refusal(contexts: Sequence[Context]) -> Answer:
    """The plain sentence that nothing was found, with the nearest passages as a hint."""
    titles = dict.fromkeys(_label(context) for context in contexts[:3])
    hint = f" The nearest passages are: {'; '.join(titles)}." if titles else ""
    return Answer(REFUSAL + hint, (), True, tuple(contexts), "")


def _extracted(contexts: tuple[Context, ...], used: Sequence[Context], picks: Sequence[Pick]) -> Answer:
    """Picked sentences as an answer; a refusal if there are none."""
    draft = Draft(used)
    for pick in picks:
        draft.write(pick.text, used[pick.context].passage.id, pick.quote)
    if not draft.citations:
        return refusal(contexts)
    return Answer(draft.text, tuple(draft.citations), False, contexts, EXTRACTIVE)


def _generated(draft: Draft, pieces: Iterator[str]) -> Iterator[None]:
    """Write each claim that is supported into the draft; yields once for each."""
    try:
        for claim in _as_written(pieces):
            if draft.add(claim):
                yield
            if len(draft.citations) == LONGEST or len(draft.dropped) + draft.repeats == PATIENCE:
                return
    finally:
        if close := getattr(pieces, "close", None):  # a generator function: closing it stops the model
            close()


def _as_written(pieces: Iterator[str]) -> Iterator[Claim]:
    """Each sentence as soon as the first word of the next one is complete."""
    raw, done = "", 0
    for piece in pieces:
        raw += piece
        if any(letter.isspace() for letter in piece):
            for claim in claims(_whole_words(raw), complete=False)[done:]:
                done += 1
                yield claim
    yield from claims(raw)[done:]


def _whole_words(text: str) -> str:
    """A text that is still being written, without the word or marker that is not finished."""
    text = text[: len(text) - len(text.split()[-1])] if text.split() and not text[-1].isspace() else text
    opened = text.rfind("[")
    return text[:opened] if opened > text.rfind("]") else text


def _label(context: Context) -> str:
    """The name by which a reader recognises a passage: its title, else its first words."""
    beginning = context.passage.text.split()
    return context.passage.context or " ".join(beginning[:8]) + (" ..." if len(beginning) > 8 else "")
