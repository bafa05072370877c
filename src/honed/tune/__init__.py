"""One file a rung: retrieval settings, query adapter, query tower, both towers. Needs the extra `tune`."""
