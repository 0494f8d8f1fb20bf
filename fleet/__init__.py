"""The federation in plain Python: which clusters exist, what they hold, what they use.

Belongs here: models, errors, ports, the member registry, the watch caches, the fan-out, metric stores, selectors.
Never here: a web framework, GraphQL, an environment variable, a user's credential. `fleet.kubernetes` alone speaks to
members, `fleet.metrics` alone to metric stores; the rest is decided on frozen values.
"""
