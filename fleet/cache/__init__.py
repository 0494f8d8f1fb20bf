"""The typed watch cache: flat records of a member's pods, nodes and namespaces, kept by list and watch.

Belongs here: the store with its indexes, the reflector that fills it, the compressed manifests. Never here: HTTP,
rights, what a query means.
"""
