"""The typed APIs of kubernetes_asyncio over a connection of ours: what a rare call asks of an API server.

For custom objects now, and fit for SelfSubjectAccessReview, TokenReview and Lease. The library builds paths, bodies and
models; what is sent goes by the `Connection` port, so that TLS, credentials, proxies, deadlines and errors are ours.
Whoever imports this brings 859 modules, 42 MiB and half a second: import it where the first call is, in a thread.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec
from kubernetes_asyncio.client import ApiClient, Configuration

from fleet.kubernetes.errors import ApiRefused
from fleet.model.errors import ClusterAnswerInvalid
from fleet.model.unreadable import UNREADABLE
from fleet.ports import Answer, Call, Connection

_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class _Response:
    """An answer as the library reads it: `getheader` is asked for a charset, and JSON has but one."""

    def __init__(self, answer: Answer) -> None:
        self.status = answer.status
        self.data: bytes | str = answer.body
        self._headers = answer.headers

    def getheader(self, _name: str) -> None:
        return None

    def getheaders(self) -> Mapping[str, str]:
        return self._headers


class TypedClient(ApiClient):
    """For `CustomObjectsApi(client)` and its like; `timeout` bounds each call, in seconds. Nothing is to be closed.

    Its calls raise ClusterError and nothing of the library: ApiRefused for a status of 400 or more.
    """

    def __init__(self, connection: Connection, timeout: float) -> None:
        # Not the library's, which opens a session and reads the system's authorities: 17 ms a client.
        self.configuration = Configuration(host="")
        self.client_side_validation = True
        self.default_headers: dict[str, str] = {}
        self.cookie = ""
        self._connection = connection
        self._timeout = timeout

    async def request(
        self,
        method: str,
        url: str,
        query_params: Sequence[tuple[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
        post_params: object = None,
        body: object = None,
        _preload_content: bool = True,
        _request_timeout: object = None,
    ) -> _Response:
        """Sends by the connection what the library has built."""
        del post_params, _preload_content, _request_timeout  # no forms, no streams, and one deadline for all
        cluster = self._connection.cluster
        call = Call(
            method,
            url,
            self._timeout,
            urlencode(query_params or ()),
            [(name.encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()],
            None if body is None else msgspec.json.encode(body),
        )
        answer = await self._connection.request(call)
        if answer.status >= 400:
            raise ApiRefused(cluster, answer)
        try:
            _decode_object(answer.body)
        except UNREADABLE as error:
            raise ClusterAnswerInvalid(cluster, f"cluster {cluster}: its answer is not JSON") from error
        return _Response(answer)
