"""Side-by-side measurements: `python -m bench` prints them as a table.

A row is one quantity of ours beside the same quantity of an anchor, taken in turns in one run, so that what the machine
does meanwhile hits both; it may have a goal, which is met or not. A module of `bench.rows` measures one subject and
answers rows; naming it in `bench.rows.SUBJECTS` is all it needs. Servers are real processes on loopback, ended by
their own process ids, and run with their defaults. Never here: anything the product imports.
"""
