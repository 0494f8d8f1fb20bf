"""Reads over all members, from their caches: the path of every list of what is cached.

Belongs here: which members take part (`availability`, `liveness`), what a filter selects in each (`filtering`), the
query result cache, sorting and paging with cursors, counts and sums, what is not well. Never here: a call to a member,
a metric store, what a face of the server looks like.
"""
