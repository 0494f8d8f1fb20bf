"""Collects usage from the members themselves, for a server that has no InfluxDB.

Belongs here: what kubelets and `metrics.k8s.io` say of usage, decoded to points, and the rounds in which it is asked
for and written. Never here: how points are kept (`fleet.metrics`), a request of a user.
"""
