"""The original's own routes, one a file: `/token`, `/metrics`, `/status`, `/joinable`, `/join` and `/joinCloud`.

Belongs here: what each reads of a URL or body, one call, and the shape its clients assert. Never here: what is passed
on to a member (`rest_compat.dispatch`), the shapes of errors they share (`rest_compat.errors`), or a model.
"""
