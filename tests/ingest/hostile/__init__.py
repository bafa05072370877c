"""Hostile and broken files, generated: each is small for what it does, and each ended or hung some parser in use."""

from tests.ingest.hostile import drawings, office, pdfs, pictures, texts
from tests.ingest.hostile.case import PARSED, SECRET, Case

CASES: tuple[Case, ...] = (*pdfs.CASES, *office.CASES, *texts.CASES, *pictures.CASES, *drawings.CASES)

__all__ = ["CASES", "PARSED", "SECRET", "Case"]
