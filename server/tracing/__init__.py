"""Traces: requests as spans that go to a collector by OTLP; what is under way inside is told by `fleet.aio.tracing`.

Belongs here: whose trace a request is of, what is sampled, the wire and the sending. Never here: a seam of what is
measured, which knows the port alone. Nothing of this room is imported while no collector is named.
"""
