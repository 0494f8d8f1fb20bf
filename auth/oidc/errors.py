"""What can go wrong with an issuer.

AuthError
├── IssuerInvalid    it is described wrongly: mend the configuration, as the message says
└── IssuerFailed     it can't be asked, or answers what it should not
"""

from auth.errors import AuthError


class IssuerInvalid(AuthError):
    """The description of an issuer is wrong; the message names the field."""


class IssuerFailed(AuthError):
    """The issuer can't be reached or does not answer as OpenID Connect says; the message says which."""
