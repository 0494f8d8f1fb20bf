"""Yesterday's URLs: `/token`, `/api...` and `/metrics/...` as the OpenMCP API server's clients call them.

And `/clusters/NAME`, the same for clients of Kubernetes; streams of both.

Belongs here: the shapes those clients read and nothing else; each route is one call and one conversion. Never here:
GraphQL, or knowledge that the graph needs as well.
"""
