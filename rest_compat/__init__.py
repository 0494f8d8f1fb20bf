"""Yesterday's URLs: `/token`, `/api...` and `/metrics/...` as the OpenMCP API server's clients call them.

Belongs here: the shapes those clients read and nothing else; each route is one call and one conversion. Never here:
GraphQL, or knowledge that the graph needs as well.
"""
