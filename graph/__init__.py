"""The GraphQL face: a Strawberry schema over the federation and the metric store.

Types are views of frozen models: fields, a `from_model`, relations of one load and one conversion. Belongs here:
types, queries, loaders, limits, the router and GraphiQL's page. Never here: a client of a member or of a metric store,
or anything of `rest_compat`.
"""
