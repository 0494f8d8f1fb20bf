"""A small blocking client of a Kubernetes API server, for setting a fleet up and looking at it."""

import http.client
import json
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


class KubeError(Exception):
    """An API server answered with an error (`status`) or not at all (`status` 0)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class KubeClient:
    """One API server, its authority and a bearer token. A connection a call; usable from any thread."""

    def __init__(self, url: str, ca_file: Path, token: str, timeout: float = 30.0) -> None:
        self._host, self._port = urlsplit(url).hostname, urlsplit(url).port
        self._context = ssl.create_default_context(cafile=str(ca_file))
        self._headers = {"Authorization": f"Bearer {token}", "User-Agent": "realfleet"}
        self._timeout = timeout

    def read(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> tuple[int, bytes]:
        """Status and body of one call; every status is an answer. Raises KubeError (status 0) where there is none."""
        connection = http.client.HTTPSConnection(
            self._host or "", self._port, timeout=self._timeout, context=self._context
        )
        headers = self._headers | {"Accept": accept} | ({} if body is None else {"Content-Type": content_type})
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise KubeError(0, f"{method} {path}: {error}") from error
        finally:
            connection.close()

    def is_ready(self) -> bool:
        """Whether `/readyz` says ok."""
        try:
            return self.read("GET", "/readyz")[0] == 200
        except KubeError:
            return False

    def get(self, path: str) -> Any:
        """The object or list at a path. Raises KubeError."""
        return self._call("GET", path, None, "application/json")

    def create(self, path: str, manifest: dict[str, Any]) -> Any:
        """Creates an object in the collection at a path. Raises KubeError."""
        return self._call("POST", path, manifest, "application/json")

    def merge(self, path: str, change: dict[str, Any]) -> Any:
        """Merges a change into the object at a path (RFC 7386). Raises KubeError."""
        return self._call("PATCH", path, change, "application/merge-patch+json")

    def delete(self, path: str) -> Any:
        """Deletes the object at a path. Raises KubeError."""
        return self._call("DELETE", path, None, "application/json")

    def _call(self, method: str, path: str, manifest: dict[str, Any] | None, content_type: str) -> Any:
        body = None if manifest is None else json.dumps(manifest).encode()
        status, answer = self.read(method, path, body, content_type)
        if status >= 400:
            raise KubeError(status, f"{method} {path}: {status} {answer[:500].decode(errors='replace')}")
        return json.loads(answer)
