"""The typed watch cache: flat records of what a member has, kept by list and watch.

Belongs here: the store with its indexes, the reflector that fills it, the compressed manifests. Never here: HTTP,
rights, what a query means.
"""
