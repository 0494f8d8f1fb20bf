"""The one way a subject says that it can't be measured here."""


class Skipped(Exception):
    """What the subject needs is not on this machine; the message says how to get it."""
