"""Credentials in, `Principal` out: tokens, users, and what a principal may do.

Belongs here: the signing of tokens, the users file, the policy that turns a request into allowed or not. Never here: a
route, a resolver, or a call to a member.
"""
