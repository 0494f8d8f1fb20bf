"""GraphQL over HTTP, WebSocket and server-sent events: requests in, answers out, each as its specification has it.

Belongs here: media types, statuses, close codes, documents that are named by an id, GraphiQL's page, and the state that
routes find. Never here: a resolver, the schema's types, what an operation is (`graph.operation`), or what is sent to
subscribers (`graph.subscriptions`).
"""
