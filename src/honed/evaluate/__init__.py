"""Is it better? Metrics per query, paired tests over clusters, slices, the gate, the report and the general probe.

metrics.py        rankings + qrels -> one score a query
significance.py   two lists of scores -> difference, interval, p, smallest effect that could be seen
slices.py         queries -> named groups (length, overlap, relevant documents, metadata)
comparison.py     all of it about one pair of systems, as plain data and JSON
gate.py           comparison -> verdict, in sentences
report.py         comparison + verdict -> one HTML file, and ten lines for a terminal
figures.py        the report's drawings, as SVG
probe.py          does an embedder still know everyday language?

Read gate.py first: everything else serves it.
"""
