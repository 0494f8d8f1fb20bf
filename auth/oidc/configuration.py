"""Issuers from a file: Kubernetes' AuthenticationConfiguration, as kube-apiserver takes it, without CEL.

```yaml
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
  - issuer:
      url: https://issuer.example.org
      discoveryURL: https://...          # where the document is found elsewhere; left out: below url
      certificateAuthority: |            # PEM; left out: the system's authorities
        -----BEGIN CERTIFICATE-----
      audiences: [openmcp]
      audienceMatchPolicy: MatchAny      # with several audiences
    claimMappings:
      username: {claim: email, prefix: ""}
      groups: {claim: groups, prefix: "oidc:"}
    claimValidationRules:
      - {claim: hd, requiredValue: example.org}
```
"""

from pathlib import Path
from typing import Literal

import msgspec

from auth.errors import FileInvalid
from auth.files import load_yaml
from auth.oidc.errors import IssuerInvalid
from auth.oidc.issuer import Issuer, check_issuers


class _Issuer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    url: str
    audiences: tuple[str, ...]
    discovery_url: str | None = msgspec.field(name="discoveryURL", default=None)
    certificate_authority: str | None = None
    audience_match_policy: Literal["", "MatchAny"] = ""


class _Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    claim: str
    prefix: str


class _Mappings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    username: _Claim
    groups: _Claim | None = None


class _Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    claim: str
    required_value: str = ""


class _Jwt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    issuer: _Issuer
    claim_mappings: _Mappings
    claim_validation_rules: tuple[_Rule, ...] = ()


class _Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    api_version: Literal[
        "apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1", "apiserver.config.k8s.io/v1alpha1"
    ]
    kind: Literal["AuthenticationConfiguration"]
    jwt: tuple[_Jwt, ...]


def load_issuers(path: Path) -> tuple[Issuer, ...]:
    """The issuers of the file. Raises IssuerInvalid, which names the field."""
    try:
        written = load_yaml(path, "OIDC file")
    except FileInvalid as error:
        raise IssuerInvalid(str(error)) from error
    try:
        found = msgspec.convert(written, _Configuration)
        issuers = tuple(map(_build_issuer, found.jwt))
        check_issuers(issuers)
    except (msgspec.ValidationError, IssuerInvalid) as error:
        raise IssuerInvalid(f"{path}: {error} (an AuthenticationConfiguration without CEL is read)") from error
    return issuers


def _build_issuer(written: _Jwt) -> Issuer:
    username, groups = written.claim_mappings.username, written.claim_mappings.groups
    return Issuer(
        url=written.issuer.url,
        audiences=written.issuer.audiences,
        username_claim=username.claim,
        username_prefix=username.prefix,
        groups_claim=groups.claim if groups else None,
        groups_prefix=groups.prefix if groups else "",
        required_claims=tuple((rule.claim, rule.required_value) for rule in written.claim_validation_rules),
        discovery_url=written.issuer.discovery_url,
        certificate_authority=written.issuer.certificate_authority,
    )
