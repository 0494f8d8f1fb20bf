"""Points of one series as compressed blocks, their roll-ups, and the arithmetic on both. Pure.

Belongs here: the form of a block, what a span of time keeps of its points, history made of spans. Never here: SQLite,
which blocks there are and when they are made, and the points of InfluxDB.
"""
