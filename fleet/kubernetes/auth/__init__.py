"""Credentials towards a member: kubeconfig files, exec plugins, auth-providers, token files, certificates.

Belongs here: what proves this server to an API server, read from files and programs, and the TLS context towards it.
Errors name what to mend and hold no secret. Never here: who calls this server (`auth`), connections, retries.
"""
