"""One file a rung: fusion weight, query adapter, query tower, both towers. Needs the extra `tune`."""
