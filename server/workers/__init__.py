"""Several processes on the same ports: the supervisor that forks, replaces and ends them, and what peers exchange.

Belongs here: fork, signals, liveness of a process, the Unix sockets between workers. Never here: what a worker serves
(`server.serve`), and nothing that needs an event loop before the fork.
"""
