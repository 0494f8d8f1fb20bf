"""The composition root: the only reader of the environment, the only opener of connections.

Belongs here: settings, the lifespan that opens everything, the application, the mapping of errors to statuses, health,
the command line. Never here: what a query or a legacy route means.
"""
