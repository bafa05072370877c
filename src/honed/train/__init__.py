"""Shared by every trainer of text: the loop, towers that learn, losses, batches, replay. Needs torch."""
