"""Issuers as they are configured: by variables, and by the file that kube-apiserver takes too."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from auth.oidc.configuration import load_issuers
from auth.oidc.errors import IssuerInvalid
from auth.oidc.issuer import Issuer
from server.lifespan import build_issuers
from server.settings.environment import SettingsInvalid, load_settings

URL = "https://issuer.example.org"


def jwt(**changed: Any) -> dict[str, Any]:
    mappings = {"username": {"claim": "email", "prefix": ""}, "groups": {"claim": "groups", "prefix": "g:"}}
    return {"issuer": {"url": URL, "audiences": ["openmcp"]}, "claimMappings": mappings} | changed


def write(path: Path, *jwts: object, **changed: Any) -> Path:
    head = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": list(jwts)}
    path.write_text(yaml.safe_dump(head | changed))
    return path


def test_variables_describe_one_issuer(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("PEM")
    settings = load_settings(
        {
            "OPENMCP_OIDC_ISSUER": URL,
            "OPENMCP_OIDC_AUDIENCE": "openmcp, kubernetes",
            "OPENMCP_OIDC_USERNAME_CLAIM": "email",
            "OPENMCP_OIDC_USERNAME_PREFIX": "oidc:",
            "OPENMCP_OIDC_GROUPS_CLAIM": "roles",
            "OPENMCP_OIDC_REQUIRED_CLAIMS": "hd=example.org,a=b=c",
            "OPENMCP_OIDC_CA_FILE": str(tmp_path / "ca.pem"),
        }
    )

    required = (("hd", "example.org"), ("a", "b=c"))
    assert build_issuers(settings.oidc) == (
        Issuer(URL, ("openmcp", "kubernetes"), "email", "oidc:", "roles", "", required, certificate_authority="PEM"),
    )


def test_the_file_describes_several(tmp_path: Path) -> None:
    second = jwt(
        issuer={
            "url": "https://other.example.org",
            "discoveryURL": "https://inside.example.org/.well-known/openid-configuration",
            "certificateAuthority": "PEM",
            "audiences": ["a", "b"],
            "audienceMatchPolicy": "MatchAny",
        },
        claimMappings={"username": {"claim": "sub", "prefix": "other:"}},
        claimValidationRules=[{"claim": "hd", "requiredValue": "example.org"}],
    )
    first, other = load_issuers(write(tmp_path / "oidc.yaml", jwt(), second))

    assert first == Issuer(URL, ("openmcp",), "email", "", "groups", "g:")
    assert other.username_prefix == "other:"
    assert other.groups_claim is None
    assert other.required_claims == (("hd", "example.org"),)
    assert other.document_url == "https://inside.example.org/.well-known/openid-configuration"


def test_the_file_is_named_by_a_variable(tmp_path: Path) -> None:
    path = write(tmp_path / "oidc.yaml", jwt())
    settings = load_settings({"OPENMCP_OIDC_FILE": str(path), "OPENMCP_OIDC_SCOPE": "openid roles"})

    assert build_issuers(settings.oidc) == (
        Issuer(URL, ("openmcp",), "email", "", "groups", "g:", scope="openid roles"),
    )
    assert build_issuers(load_settings({}).oidc) == ()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"issuer": {"url": "http://issuer.example.org", "audiences": ["a"]}}, "must be an https URL"),
        ({"issuer": {"url": "https://u:p@issuer.example.org", "audiences": ["a"]}}, "must be an https URL"),
        ({"issuer": {"url": "https://issuer.example.org?a=b", "audiences": ["a"]}}, "must have no query"),
        ({"issuer": {"url": URL, "audiences": []}}, "at least one audience"),
        ({"issuer": {"url": URL}}, "audiences"),
        ({"issuer": {"url": URL, "audiences": ["a"], "discoveryURL": "http://a"}}, "discovery URL"),
        ({"claimMappings": {"username": {"expression": "claims.sub"}}}, "without CEL"),
        ({"claimMappings": {"username": {"claim": "sub"}}}, "prefix"),
        ({"userValidationRules": [{"expression": "true"}]}, "userValidationRules"),
        ({"claimValidationRules": [{"expression": "true"}]}, "expression"),
    ],
)
def test_a_wrong_file_names_the_field(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    with pytest.raises(IssuerInvalid, match=words) as raised:
        load_issuers(write(tmp_path / "oidc.yaml", jwt(**changed)))
    assert "oidc.yaml" in str(raised.value)


def test_files_that_are_none_are_said(tmp_path: Path) -> None:
    with pytest.raises(IssuerInvalid, match="No such file"):
        load_issuers(tmp_path / "nowhere")
    for text, words in (("a: [", "not YAML"), ("[]", "object"), ("kind: Config", "kind")):
        (tmp_path / "wrong").write_text(text)
        with pytest.raises(IssuerInvalid, match=words):
            load_issuers(tmp_path / "wrong")
    with pytest.raises(IssuerInvalid, match="is there twice"):
        load_issuers(write(tmp_path / "twice", jwt(), jwt()))


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"OPENMCP_OIDC_ISSUER": URL}, "OPENMCP_OIDC_AUDIENCE is not set"),
        ({"OPENMCP_OIDC_AUDIENCE": "a"}, "OPENMCP_OIDC_ISSUER is not set"),
        ({"OPENMCP_OIDC_ISSUER": URL, "OPENMCP_OIDC_AUDIENCE": "a", "OPENMCP_OIDC_FILE": "f"}, "are both set"),
        (
            {"OPENMCP_OIDC_ISSUER": URL, "OPENMCP_OIDC_AUDIENCE": "a", "OPENMCP_OIDC_REQUIRED_CLAIMS": "hd"},
            "must have CLAIM=VALUE",
        ),
        ({"OPENMCP_DEFAULT_ROLE": "admin"}, "must be view or edit"),
    ],
)
def test_wrong_variables_are_said(environment: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsInvalid, match=words):
        load_settings(environment)


def test_plain_http_is_for_this_machine_alone() -> None:
    for url in ("http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost", URL):
        assert Issuer(URL, ("a",)).check_url(url, "it") == url
    for wrong in ("http://10.0.0.1", "ftp://a", "https://", "https://a#b", "https://a:b", "file:///a", None, 7):
        with pytest.raises(IssuerInvalid, match="must be an https URL"):
            Issuer(URL, ("a",)).check_url(wrong, "it")
    assert Issuer("http://inside", ("a",), allow_http=True).check_url("http://inside/keys", "it")
