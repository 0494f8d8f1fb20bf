"""One member cluster while it belongs to the federation: its connection, caches, health and circuit breaker.

Belongs here: heartbeats, the tasks that watch a member, its state of health and what that means for a question, and
the roster of all members with the reach of a scope, with what they let a caller see (`grants`). Never here: which
clusters exist (`fleet.registry`), what a filter selects (`fleet.reads`).
"""
