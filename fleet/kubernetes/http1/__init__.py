"""A client of HTTP/1.1 (RFC 9112) on httptools, for requests and for upgrades.

From the socket up: `tls` (over memory), `reader` (back-pressure), `framing` (where an answer ends), `protocol` (a
connection and its state), `dial` (CONNECT and the handshake), `pool`, then `exchange` (a request, its answer and the
retry) or `upgrade` (another protocol after a 101). Never here: a Kubernetes object, a credential, a retry of a write.
"""
