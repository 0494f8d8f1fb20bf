"""A simulated fleet that speaks the Kubernetes API on loopback, for the demo, for scale and for faults.

Never imported by the product, except by the command that starts it. What it answers is held against real API servers
by a test.
"""
