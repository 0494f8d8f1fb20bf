"""The settings of OpenID Connect: whose tokens count beside our own."""

from typing import Annotated, Literal

from pydantic import model_validator

from server.settings.field import File, Group, Names, Word, setting


class OidcSettings(Group):
    """Users who sign in at an OpenID Connect issuer; what they may do stands in the users file."""

    oidc_issuer: str | None = setting(
        None, "Issuer whose ID tokens count, as its discovery document names it.", values="an https URL"
    )
    oidc_audience: Names = setting(
        (),
        "Audiences, of which a token must be for one; the first is the client id with which people sign in here.",
        values="names, separated by commas; a list in a file",
    )
    oidc_username_claim: str = setting("sub", "Claim that names the user.", values="a claim's name", min_length=1)
    oidc_username_prefix: str = setting("", "What stands before the user's name here.", values="a text such as oidc:")
    oidc_groups_claim: str = setting("groups", "Claim that names the user's groups.", values="a claim's name")
    oidc_groups_prefix: str = setting("", "What stands before each group's name here.", values="a text such as oidc:")
    oidc_required_claims: Names = setting(
        (),
        "Claims that a token must have.",
        values="CLAIM=VALUE, separated by commas; a list in a file",
    )
    oidc_scope: str = setting(
        "",
        "What is asked for when people sign in. Left out: openid, and of profile, email, groups and offline_access (by "
        "which a sign-in is renewed) those that the issuer says it has.",
        values="scopes, separated by blanks",
    )
    oidc_ca_file: File | None = setting(
        None, "CA of the issuer's certificate. Left out: the system's authorities.", values="a file in PEM"
    )
    oidc_allow_http: bool = setting(
        False,
        "Whether an issuer on another machine may be asked in plain HTTP: whoever is on the way can then sign in as "
        "anybody.",
        values="true or false",
    )
    oidc_file: File | None = setting(
        None,
        "Several issuers, or one with more to say, instead of the above; read at the start.",
        values="a YAML file, Kubernetes' AuthenticationConfiguration without CEL",
    )
    default_role: Annotated[Literal["view", "edit"], Word] | None = setting(
        None,
        "Role, in all clusters, of who signs in elsewhere and has no entry in the users file. Left out: none.",
        values="view or edit",
    )

    @model_validator(mode="after")
    def _fits(self) -> "OidcSettings":
        if self.oidc_issuer is not None and self.oidc_file is not None:
            raise ValueError("OPENMCP_OIDC_ISSUER and OPENMCP_OIDC_FILE are both set: name all issuers in the file")
        if (self.oidc_issuer is None) != (not self.oidc_audience):
            missing = "OPENMCP_OIDC_ISSUER" if self.oidc_issuer is None else "OPENMCP_OIDC_AUDIENCE"
            raise ValueError(f"{missing} is not set: OPENMCP_OIDC_ISSUER and OPENMCP_OIDC_AUDIENCE go together")
        for text in self.oidc_required_claims:
            if "=" not in text.strip("="):
                raise ValueError(f"OPENMCP_OIDC_REQUIRED_CLAIMS has {text!r}, must have CLAIM=VALUE")
        return self
