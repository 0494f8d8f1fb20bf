"""How subscriptions travel: WebSocket (graphql-transport-ws) and server-sent events.

Belongs here: a protocol's messages, its close codes, and the waiting for slow clients. Never here: what a subscription
means (`graph.subscriptions`).
"""
