"""What each rule of ours.yaml finds (`ruleid`), and what it must leave alone (`ok`). Never run."""

import asyncio
import os
import ssl
import subprocess
import time

import jwt
import msgspec
import yaml


def asks(name, where):
    # ruleid: query-text-is-constant
    Query(f"SELECT * FROM {name}", {})
    # ruleid: query-text-is-constant
    Query("SELECT * FROM " + name, {})
    # ok: query-text-is-constant
    Query("SELECT * FROM Pods WHERE pod = $pod", {"pod": name})
    # ruleid: path-parts-are-quoted
    Call("GET", f"/api/v1/namespaces/{name}", timeout=1)
    # ok: path-parts-are-quoted
    Call("GET", f"/api/v1/namespaces/{quote(name, safe='')}", timeout=1)


def connects(client, context):
    # ruleid: tls-is-verified
    client.get("https://a", verify=False)
    # ruleid: tls-is-verified
    client.request("https://a", ssl=False)
    # ruleid: tls-is-verified
    context.verify_mode = ssl.CERT_NONE
    # ruleid: tls-is-verified
    context.check_hostname = False


def reads(text):
    # ruleid: yaml-by-load-yaml
    yaml.safe_load(text)
    # ruleid: yaml-by-load-yaml
    yaml.load(text, Loader=yaml.Loader)
    try:
        msgspec.json.decode(text)
    # ruleid: decoders-raise-unreadable
    except (msgspec.DecodeError, KeyError):
        pass
    try:
        msgspec.json.decode(text)
    # ruleid: decoders-raise-unreadable
    except msgspec.MsgspecError:
        pass
    try:
        msgspec.json.decode(text)
    # ok: decoders-raise-unreadable
    except (ValueError, msgspec.DecodeError, RecursionError):
        pass
    try:
        msgspec.convert(text, str)
    # ok: decoders-raise-unreadable
    except msgspec.ValidationError:
        pass


async def runs(word):
    # ruleid: no-shell
    subprocess.run(word, shell=True)
    # ruleid: no-shell
    await asyncio.create_subprocess_shell(word)
    # ruleid: no-shell
    os.system(word)
    # ok: no-shell
    await asyncio.create_subprocess_exec(word)


def logs(headers, user, request):
    # ruleid: no-credential-in-a-log
    _log.info("asked with %s", user.password)
    # ruleid: no-credential-in-a-log
    logger.debug("asked with %s by %s", headers["authorization"], user.name)
    # ok: no-credential-in-a-log
    _log.info("asked by %s", user.name)


def compares(given, kept):
    # ruleid: secrets-by-compare-digest
    if given.token == kept:
        # ruleid: secrets-by-compare-digest
        return given.signature != kept
    # ok: secrets-by-compare-digest
    return given.name == kept


def verifies(text, key):
    # ruleid: tokens-by-one-algorithm
    jwt.decode(text, key)
    # ruleid: tokens-by-one-algorithm
    jwt.decode(text, key, algorithms=["HS256"], options={"verify_signature": False})
    # ok: tokens-by-one-algorithm
    jwt.decode(text, key, algorithms=["HS256"])


async def waits(ready):
    # ruleid: tests-wait-for-conditions
    await asyncio.sleep(0.5)
    # ruleid: tests-wait-for-conditions
    time.sleep(1)
    # ok: tests-wait-for-conditions
    await asyncio.sleep(0)
    while not ready():
        # ok: tests-wait-for-conditions
        await asyncio.sleep(0.01)


def excuses():
    # ruleid: exceptions-have-reasons
    assert True  # noqa: S101
    # ok: exceptions-have-reasons
    assert True  # noqa: S101 - a reason
