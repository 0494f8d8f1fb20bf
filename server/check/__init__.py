"""Tries a configuration before it serves: one file for each part that is tried.

Belongs here: what answers, what is wrong with it, and the command that mends it. Never here: what writes or serves.
"""
