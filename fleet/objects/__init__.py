"""Objects of any kind, asked of the members that hold them: tables, pages, events, logs, and an object's details.

Each is one call of a query, with the request's deadline and the caller's rights. Never here: what is kept by list and
watch (`fleet.cache`), or a call that is passed through unread (`rest_compat`).
"""
