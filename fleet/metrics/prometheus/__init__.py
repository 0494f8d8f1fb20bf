"""The store of whatever speaks Prometheus' HTTP API: Prometheus, VictoriaMetrics, Thanos, Mimir.

Belongs here: which series tell of which measure, query texts, how answers are sent for and decoded, and what series of
containers make of their pod. Never here: arithmetic over time (`fleet.metrics.aggregate`), another store.
"""
