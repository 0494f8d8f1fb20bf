"""The authenticated caller, as both faces and the policy see it."""

from msgspec import Struct
from msgspec.structs import replace

from fleet.model.rights import Granted, Subject
from fleet.model.visibility import Scope


class Principal(Struct, frozen=True):
    """An authenticated caller. `expires_at` (Unix seconds) is when the credential stops to count; None: never.

    `writes` are the kinds that role edit writes beyond Kubernetes' own, as `auth.users` has them. Who has several
    entries there is in `apart` once for each; `scope` reaches what they reach together.
    `credential` is what the caller proved it with, as the audit log has it.
    """

    name: str
    scope: Scope
    groups: tuple[str, ...] = ()
    expires_at: float | None = None
    writes: tuple[str, ...] = ()
    apart: tuple["Principal", ...] = ()
    credential: str = ""

    @property
    def parts(self) -> tuple["Principal", ...]:
        """The caller by each entry alone."""
        return self.apart or (self,)

    def as_subject(self) -> "Principal":
        """The same where members decide what a caller may see: nothing, until they were asked."""
        if self.scope.granted is not None:
            return self
        return replace(self, scope=replace(self.scope, granted=Granted(Subject(self.name, self.groups))))
