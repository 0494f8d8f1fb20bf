"""One member's API server: connections, credentials, decoding, and the sources that say which members exist.

Belongs here: everything that touches aiohttp, kubernetes_asyncio or the bytes of the Kubernetes API. Foreign exceptions
become `fleet.model.errors` here and nowhere else. Never here: what to do about a failed member, caching, rights.
"""
