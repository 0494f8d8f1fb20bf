"""The stores of an InfluxDB: InfluxQL for 1.x and the 1.x route of a 2.x, Flux for 2.x; one base, a module a language.

Belongs here: query texts with bound parameters, how answers are sent for and decoded, errors that arrive inside a 200,
and the thread pool over the client library. Never here: aggregation (`fleet.metrics.aggregate`), the embedded store.
"""
