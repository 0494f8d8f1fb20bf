"""Metric stores: usage and history behind the `MetricStore` port.

Belongs here: the adapters (`influx`, `prometheus`, `embedded`, which do not know each other), the pool that asks over
HTTP, and the arithmetic from points to usage and history that all of them share. Never here: quantities as text outside
the stores' own rows, members, GraphQL.
"""
