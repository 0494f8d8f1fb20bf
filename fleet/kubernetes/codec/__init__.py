"""Bytes of the Kubernetes API to flat models: lists, watch lines, tables, and what kubectl computes from an object.

Belongs here: structs shaped as on the wire, their decoders, and the conversions, pure and without I/O. An object that
can't be read is reported by name and never fails its list. Never here: requests, caches of objects, what a query asks.
"""
