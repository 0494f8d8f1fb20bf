"""Settings of what is shown of objects, and what is written down of callers."""

from typing import Annotated, Literal

from server.settings.field import Bytes, Group, Word, setting


class DisclosureSettings(Group):
    """What of objects is not shown beside Secrets, and what is written down of callers."""

    redact_env: Annotated[Literal["off", "secrets", "all"], Word] = setting(
        "off",
        "Which literal values of environment variables are hidden: in the graph's manifests to everybody, in what is "
        "passed on to who may not read Secrets. `secrets`: those whose name sounds like one, and URLs with a password.",
        values="off, secrets or all",
    )
    audit_log: str | None = setting(
        None,
        "Where writes, streams, refused calls and sign-ins are written down, a JSON object a line: `docs/how-to/"
        "audit-log.md` says what is in it. Left out: nowhere.",
        values="- (standard output), or a file",
    )
    audit_log_bytes: Bytes = setting(
        67108864,
        "Bytes of the audit log's file, which is then kept as `FILE.1` and begun anew.",
        values="bytes, 64Ki to 16Gi; Ki, Mi, Gi are understood",
        ge=65536,
        le=17179869184,
    )
    audit_log_files: int = setting(
        5,
        "Files of the audit log that are kept beside the one that is written.",
        values="a number, 1 to 1000",
        ge=1,
        le=1000,
    )
