"""What the ops port tells of this process to whoever scrapes it: a name, a type and words for each figure.

Belongs here: families and how they are written. Never here: counting, which is done at the seams of what is counted,
and no import of this room by `graph`, `rest_compat`, `auth` or `fleet`.
"""
