"""`openmcp-apiserver config show`: what counts, where it is from, and no secret."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from server.commands.main import main

SECRET = "a-secret-of-some-length"


def test_each_value_says_where_it_is_from(tmp_path: Path) -> None:
    file = tmp_path / "openmcp.yaml"
    file.write_text(f"OPENMCP_PORT: 9000\nOPENMCP_OPS_PORT: 9001\nAPI_APP_KEY: {SECRET}\n")
    environ = {
        "OPENMCP_PORT": "9002",
        "OPENMCP_TOKEN_LIFETIME": "90m",
        "OPENMCP_PROMETHEUS_URL": "http://127.0.0.1:9090",
        "KUBECONFIG": "/a:/b",
    }
    result = CliRunner().invoke(main, ["config", "show", "--config", str(file), "--output", "json"], env=environ)
    shown = json.loads(result.output)

    assert {name: (each["value"], each["from"]) for name, each in shown.items() if each["from"] != "default"} == {
        "OPENMCP_PORT": ("9002", "OPENMCP_PORT"),
        "OPENMCP_OPS_PORT": ("9001", str(file)),
        "OPENMCP_SIGNING_KEY": ("***", str(file)),
        "OPENMCP_TOKEN_LIFETIME": ("5400s", "OPENMCP_TOKEN_LIFETIME"),
        "OPENMCP_PROMETHEUS_URL": ("http://127.0.0.1:9090", "OPENMCP_PROMETHEUS_URL"),
        "OPENMCP_METRIC_STORE": ("prometheus", "KUBECONFIG, where it runs, or another setting"),
        "OPENMCP_KUBECONFIG": (["/a", "/b"], "KUBECONFIG, where it runs, or another setting"),
    }
    assert shown["OPENMCP_OPS_HOST"] == {"value": "127.0.0.1", "from": "default"}
    assert shown["OPENMCP_USERS_FILE"] == {"value": None, "from": "default"}
    assert SECRET not in result.output


@pytest.mark.parametrize(("port", "code"), [("9002", 0), ("x", 2)])
def test_a_table_of_what_is_changed(port: str, code: int) -> None:
    result = CliRunner().invoke(main, ["config", "show", "--changed"], env={"OPENMCP_PORT": port, "KUBECONFIG": None})
    assert result.exit_code == code
    if code:
        assert "OPENMCP_PORT is 'x', must be a port" in result.output
    else:
        assert result.output.splitlines() == ["NAME          VALUE  FROM", "OPENMCP_PORT  9002   OPENMCP_PORT"]
