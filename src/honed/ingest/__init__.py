"""From files to passages: find sources, parse them in a sandbox, clean, join near-duplicates, split.

Nothing here knows the catalog, except `sync`. Importing this package loads no parser.
"""
