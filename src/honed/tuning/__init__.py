"""One tuning run for every role: snapshot, plan, stages, choice on dev, held-out test, gate, release, report.

`run.py` is the run, and `role.py` what a role brings to it; everything here is the same for all roles.
"""
