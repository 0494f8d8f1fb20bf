"""Exec plugins: real processes that print credentials."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from fleet.kubernetes.auth.authorizers import CredentialError
from fleet.kubernetes.auth.exec_plugin import ExecAuthorizer, ExecPlugin, build_exec_plugin, load_exec_credential
from fleet.kubernetes.auth.kubeconfig_entries import UserEntry, read_entry
from tests.fakes.waiting import PATIENCE, until
from tests.fleet.kubernetes.auth.plugin import VERSION

SCRIPT = Path(__file__).with_name("plugin.py")


def config(how: str, folder: Path, **more: Any) -> dict[str, Any]:
    return {"command": sys.executable, "args": [str(SCRIPT), how, str(folder / "runs")], "apiVersion": VERSION, **more}


def build(section: dict[str, Any], folder: Path) -> ExecPlugin:
    entry = read_entry({"exec": section}, UserEntry).exec
    assert entry is not None
    return build_exec_plugin(entry, folder, {"server": "https://a.example"})


def plugin(how: str, folder: Path, **more: Any) -> ExecPlugin:
    return build(config(how, folder, **more), folder)


async def test_a_token_is_used_until_it_ends(tmp_path: Path) -> None:
    authorizer = ExecAuthorizer(plugin("long", tmp_path), 30)
    found = await asyncio.gather(*(authorizer.authorization() for _ in range(5)))
    assert set(found) == {"Bearer token-1"}
    short = ExecAuthorizer(plugin("short", tmp_path), 30)
    assert await short.authorization() != await short.authorization()


async def test_a_refused_token_is_asked_for_again(tmp_path: Path) -> None:
    authorizer = ExecAuthorizer(plugin("long", tmp_path), 30)
    assert await authorizer.authorization() == "Bearer token-1"
    authorizer.forget()
    assert await authorizer.authorization() == "Bearer token-2"


async def test_what_the_plugin_is_told(tmp_path: Path) -> None:
    told = await load_exec_credential(plugin("info", tmp_path, provideClusterInfo=True), 30)
    assert told.token == "https://a.example"
    given = plugin("env", tmp_path, env=[{"name": "GIVEN", "value": "abc"}])
    assert (await load_exec_credential(given, 30)).token == "abc"
    assert "abc" not in repr(given)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("fail", "ended with 1; the log has its words"),
        ("nonsense", "no ExecCredential"),
        ("half", "a certificate or a key, but not both"),
    ],
)
async def test_what_is_wrong_is_said(how: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match=words):
        await load_exec_credential(plugin(how, tmp_path), 30)


async def test_what_a_plugin_says_is_for_the_log_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(CredentialError) as raised:
        await load_exec_credential(plugin("fail", tmp_path), 30)
    assert "no session" not in str(raised.value)
    assert "no session: log in first" in caplog.text


async def test_a_plugin_that_hangs_is_ended(tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match=r"did not end within 0\.5 s"):
        await load_exec_credential(plugin("hang", tmp_path), 0.5)


async def test_a_plugin_is_ended_with_what_it_started(tmp_path: Path) -> None:
    """A wrapper's child holds its output open."""
    script = tmp_path / "wrapper"
    script.write_text(f"#!/bin/sh\nsleep 3600 &\necho $! > {tmp_path / 'child'}\nwait\n")
    script.chmod(0o755)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(CredentialError, match=r"did not end within 0\.5 s"):
            await load_exec_credential(ExecPlugin(str(script), (), (), VERSION), 0.5)
    child = int((tmp_path / "child").read_text())
    await until(lambda: not is_running(child))


def is_running(pid: int) -> bool:
    """Not where it has ended and nobody has asked how."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


async def test_a_missing_program_gives_the_hint(tmp_path: Path) -> None:
    missing = {"command": "./no-such-plugin", "apiVersion": VERSION, "installHint": "install it from there"}
    with pytest.raises(CredentialError, match=r"can't be started: No such file.*install it from there"):
        await load_exec_credential(build(missing, tmp_path), 5)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"command": ""}, r"exec\.command"),
        ({"apiVersion": "v1"}, r"exec\.apiVersion"),
        ({"apiVersion": f"{VERSION}alpha1"}, r"exec\.apiVersion"),
        ({"args": "a"}, r"exec\.args"),
        ({"env": [{"value": "a"}]}, r"exec\.env"),
        ({"interactiveMode": "Always"}, r"exec\.interactiveMode"),
    ],
)
def test_a_wrong_exec_section_names_the_field(more: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        plugin("long", tmp_path, **more)
