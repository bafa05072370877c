"""Immutable releases: build, open, promote, roll back, export."""
