"""Points to whoever takes Prometheus remote write: Prometheus, VictoriaMetrics, Mimir.

Belongs here: the message of the protocol, and its way to the server. Never here: what is asked of such a server.
"""
