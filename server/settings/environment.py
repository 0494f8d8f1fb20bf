"""From variables and a configuration file to `Settings`. The only reader of the environment."""

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from fleet.model.unreadable import load_yaml
from server.settings.groups import Settings

PREFIX = "OPENMCP_"

_OTHER_NAMES = frozenset({"OPENMCP_PASSWORD", "OPENMCP_SERVER"})  # of commands
_SERVICE_HOST = "_SERVICE_HOST"
_USER, _QUERY = re.compile(r"//[^/?#]*@"), re.compile(r"(?<=://)([^?\s]*)\?.*")
"""Of a URL: no message shows them, whatever else is wrong."""

MASK = "***"

_SERVICE_PARTS = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_[A-Z]+(_(PROTO|PORT|ADDR))?)?)$")


def mask_user(text: str) -> str:
    """A text whose URLs show no user and no password."""
    return _USER.sub(f"//{MASK}@", text)


class SettingsInvalid(Exception):
    """The configuration can't be used; each problem is a line: the variable, its value and what it may be."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Variable(Struct, frozen=True):
    """One setting as it is written: `name` first, then its other names."""

    group: str
    field: str
    name: str
    aliases: tuple[str, ...]
    info: FieldInfo

    @property
    def values(self) -> str:
        """What it may be, in words."""
        return str(_extra(self.info)["values"])

    @property
    def secret(self) -> bool:
        return SecretStr in getattr(self.info.annotation, "__args__", ())


def list_variables() -> list[Variable]:
    """All settings, in the order of the groups."""
    return [
        Variable(group, field, f"{PREFIX}{field.upper()}", tuple(_extra(info)["aliases"]), info)
        for group, model in _groups()
        for field, info in model.model_fields.items()
    ]


def load_settings(environ: Mapping[str, str], config_file: Path | None = None) -> Settings:
    """The settings of the file and the environment, which wins; empty is not set. Raises SettingsInvalid."""
    written = read_config(config_file)
    problems = [f"{config_file}: {problem}" for problem in unknown_names(written)]
    given: dict[str, dict[str, Any]] = {}
    origin: dict[str, tuple[Variable, str, Any]] = {}
    for variable in list_variables():
        found = find_value(variable, environ) or find_value(variable, written)
        if found is not None:
            given.setdefault(variable.group, {})[variable.field] = found[1]
            origin[variable.field] = (variable, *found)
    _fill_defaults(given, environ)
    groups: dict[str, BaseModel] = {}
    for group, model in _groups():
        try:
            groups[group] = model.model_validate(given.get(group, {}))
        except ValidationError as error:
            problems += _problems(error, origin)
    if problems:
        raise SettingsInvalid(problems)
    return Settings.model_validate(groups)


def unknown_names(names: Mapping[str, Any]) -> list[str]:
    """A line for each name that no setting has, with the nearest that one has."""
    known = {name for variable in list_variables() for name in (variable.name, *variable.aliases)} | _OTHER_NAMES
    lines = []
    for name in names:
        if name in known or _names_a_service(name, names):
            continue
        nearest = difflib.get_close_matches(str(name), sorted(known), n=1, cutoff=0.6)
        lines.append(f"{str(name)[:80]} is no setting" + (f", did you mean {nearest[0]}?" if nearest else ""))
    return lines


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """`unknown_names` of those variables that begin with our prefix."""
    return unknown_names({name: value for name, value in environ.items() if name.startswith(PREFIX)})


def _names_a_service(name: str, names: Mapping[str, Any]) -> bool:
    # Kubernetes puts OPENMCP_APISERVER_SERVICE_HOST and its like into every pod beside a Service of such a name.
    match = _SERVICE_PARTS.search(name)
    return match is not None and f"{name[: match.start()]}{_SERVICE_HOST}" in names


def _groups() -> Iterator[tuple[str, type[BaseModel]]]:
    for name, info in Settings.model_fields.items():
        assert isinstance(info.annotation, type)  # noqa: S101 - narrows for mypy: every field of Settings is a group
        yield name, info.annotation


def _extra(info: FieldInfo) -> dict[str, Any]:
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}


def find_value(variable: Variable, source: Mapping[str, Any]) -> tuple[str, Any] | None:
    """The name by which a source has a setting, and the value as it stands there; None where it has none."""
    for name in (variable.name, *variable.aliases):
        value = source.get(name)
        if value is not None and value != "":
            return name, value
    return None


def _fill_defaults(given: dict[str, dict[str, Any]], environ: Mapping[str, str]) -> None:
    """Defaults that depend on other settings or on where the server runs."""
    clusters = given.setdefault("clusters", {})
    in_cluster = "KUBERNETES_SERVICE_HOST" in environ
    if "host_context" in clusters or in_cluster:
        clusters.setdefault("cluster_source", "kubefed")
    sources = str(clusters.get("cluster_source", "kubeconfig")).lower()  # as it is written, a text or a list
    if in_cluster and "kubeconfig" not in sources and "host_context" not in clusters:
        clusters.setdefault("kubeconfig", [])
    clusters.setdefault("kubeconfig", environ.get("KUBECONFIG") or "~/.kube/config")
    metrics = given.setdefault("metrics", {})
    if "influx_url" in metrics or "influx_host" in metrics:
        metrics.setdefault("metric_store", "flux" if "influx_org" in metrics else "influxql")
    elif "prometheus_url" in metrics:
        metrics.setdefault("metric_store", "prometheus")


def read_config(path: Path | None) -> dict[str, Any]:
    """What a configuration file says. Raises SettingsInvalid."""
    if path is None:
        return {}
    try:
        content = load_yaml(path.read_bytes())
    except OSError as error:
        raise SettingsInvalid([f"{path}: {error.strerror or error}"]) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise SettingsInvalid([f"{path}{line}: not YAML: {getattr(error, 'problem', None) or 'unreadable'}"]) from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise SettingsInvalid([f"{path}: must be a mapping from names such as OPENMCP_PORT to values"])
    return content


def _problems(error: ValidationError, origin: Mapping[str, tuple[Variable, str, Any]]) -> Iterator[str]:
    """One line for each wrong value; the library's own words stay out, since they may quote a secret."""
    seen = set()
    for part in error.errors(include_url=False, include_context=True):
        field = str(part["loc"][0]) if part["loc"] else None
        if field is None:
            yield str(part.get("ctx", {}).get("error", part["msg"]))
        elif field not in seen:
            seen.add(field)
            # The words of a value error are our own.
            why = f" ({part['ctx']['error']})" if part["type"] == "value_error" else ""
            if field not in origin:
                yield f"{PREFIX}{field.upper()} is not set, and its default can't be used{why}"
                continue
            variable, name, value = origin[field]
            if isinstance(value, str):
                value = _QUERY.sub(r"\1?***", mask_user(value))
            shown = "'***'" if variable.secret else repr(value if len(str(value)) <= 200 else f"{str(value)[:200]}...")
            yield f"{name} is {shown}, must be {variable.values}{why}"
