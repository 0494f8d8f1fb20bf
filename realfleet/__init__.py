"""A real fleet on loopback: real API servers, etcd, scheduler, controller manager, kwok nodes and InfluxDB.

For `make real`, `make fleet`, the tests and the benchmarks; never part of the installed product. Every part is started
on a free port, waited for by its own readiness, and stopped by its own process id.
"""
