"""Two wordings of what is wrong: one for anybody, and one with addresses, paths and users for who runs this server.

A `Told` is its public text to whoever does not ask for more, so what forgets about the other one gives nothing away.
"""

import re
from typing import Self, overload

from fleet.model.visibility import Role, Scope

MISCONFIGURED = "its configuration is not right: this server's log says what is wrong"
"""For others, of a member whose source can't say how to reach it: the words that say why name users and files."""

_ELSEWHERE = "(...)"
# In the words of others: URLs, `host:port` and addresses, files, looked-up names, and who asked.
_INTERNAL = re.compile(
    r"[a-z][a-z0-9+.-]*://[^\s\"'<>]+"
    r"|(?<=lookup )[^\s:]+"
    r"|(?<=certificate is valid for )[^:;\n]+|(?<=certificate is not valid for )'[^']*'"
    r"|\[[0-9A-Fa-f:.%]+\](?::\d+)?"
    r"|(?<![\w.-])\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?(?![\w.])"
    r"|(?<![\w:.-])(?:[0-9A-Fa-f]{0,4}:){3,7}[0-9A-Fa-f]{0,4}(?![\w:.-])"
    r"|(?<![\w.-])(?=[\w.-]*[A-Za-z])[\w.-]+:\d{2,5}(?!\w)"
    r"|(?<![\w/.~-])[~.]{0,2}(?:/[\w@%+.-]+){2,}/?"
    r"|system:(?:serviceaccount|node|bootstrap)[\w:.-]*"
)
_USER = re.compile(r"""\b([Uu]ser) ["']([^"']*)["']""")


class Told(str):
    """The public text; `detail` is the other one. `str()` keeps both, other ways of making text only the public one."""

    __slots__ = ("detail",)
    detail: str

    def __new__(cls, public: str, detail: str) -> Self:
        told = super().__new__(cls, public)
        told.detail = detail
        return told

    def __str__(self) -> str:
        return self

    def __reduce__(self) -> tuple[type["Told"], tuple[str, str]]:
        return Told, (plain(self), self.detail)


def plain(text: str) -> str:
    """The public text alone."""
    return str.__str__(text)


def tell(template: str, *parts: object) -> str:
    """`template.format(*parts)` in both wordings, of parts that may have two themselves: texts and errors."""
    public, detail = template.format(*parts), template.format(*map(detail_of, parts))
    return public if public == detail else Told(public, detail)


def foreign(text: str, caller: str = "") -> str:
    """The words of a member, a library or the system, which hold whatever they like. The caller's own name may stay."""
    public = _INTERNAL.sub(_ELSEWHERE, text)
    public = _USER.sub(lambda found: found[0] if found[2] == caller else found[1], public)
    return text if public == text else Told(public, text)


@overload
def detail_of(said: str | BaseException) -> str: ...
@overload
def detail_of(said: object) -> object: ...
def detail_of(said: object) -> object:
    """The wording for the log: of an error its text; anything else is given back."""
    text = str(said) if isinstance(said, BaseException) else said
    return text.detail if isinstance(text, Told) else text


@overload
def told_to(scope: Scope, said: str | BaseException) -> str: ...
@overload
def told_to(scope: Scope, said: str | BaseException | None) -> str | None: ...
def told_to(scope: Scope, said: str | BaseException | None) -> str | None:
    """What is shown to a caller: the one place that says who reads which wording."""
    if said is None:
        return None
    # Where members decide, the role only bounds what they may grant: whoever runs this server reads its log.
    runs_all = scope.granted is None and all(each.role >= Role.ADMIN for each in (scope, *scope.also))
    return detail_of(said) if runs_all else plain(str(said))
