"""What changes while somebody looks: the change feed of the caches, and usage that is asked for at intervals.

Belongs here: views of a filter's objects as they change, sampling for all subscribers at once, and the cache of whole
clusters' usage. Never here: subscriptions as a protocol (`graph.subscriptions`), decoding of watches.
"""
