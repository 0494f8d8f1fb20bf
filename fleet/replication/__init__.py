"""One state that any number of replicas share, on NATS JetStream.

Each member is watched by one of them, its writer, and the others follow what that publishes.

Belongs here: what is published and how it is read back, who writes which member (leases), and the filler of members'
stores that does one or the other. Never here: how a member is watched (`fleet.members`), settings.
"""
