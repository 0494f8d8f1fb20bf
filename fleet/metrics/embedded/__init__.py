"""The store of a server without InfluxDB: one SQLite file, one writer, a few readers in threads.

Belongs here: the schema, its reads and writes, the bounds on age and size, and the newest points cached until the file
changes. Never here: who collects points (`fleet.collector`), the event loop waiting for the file, InfluxDB.
"""
