"""Tokens of OpenID Connect issuers: who they are for, by keys that their issuer publishes.

Belongs here: what an issuer is, its keys, the check of a token, the sign-in at an issuer. Never here: what a user may
do, and a library's exceptions.
"""
