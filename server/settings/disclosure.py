"""Settings of what is shown of objects, and what is written down of callers."""

from typing import Annotated, Literal

from server.settings.field import Group, Word, setting


class DisclosureSettings(Group):
    """What of objects is not shown beside Secrets, and what is written down of callers."""

    redact_env: Annotated[Literal["off", "secrets", "all"], Word] = setting(
        "off",
        "Which literal values of environment variables are hidden: in the graph's manifests to everybody, in what is "
        "passed on to who may not read Secrets. `secrets`: those whose name sounds like one, and URLs with a password.",
        values="off, secrets or all",
    )
