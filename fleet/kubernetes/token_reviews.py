"""TokenReviews (authentication.k8s.io/v1 of the Kubernetes API): a cluster's word on whom a bearer token is for."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from fleet.model.errors import ClusterAnswerInvalid
from fleet.ports import Connection, ReviewedUser

if TYPE_CHECKING:
    from kubernetes_asyncio.client import V1TokenReview


class TokenReviews:
    """The `Reviewing` port. Without `audiences` a token has to be for the API server itself."""

    def __init__(self, audiences: Sequence[str], timeout: float) -> None:
        self._audiences = list(audiences)
        self._timeout = timeout

    async def review(self, host: Connection, token: str) -> ReviewedUser | None:
        # The first call imports 859 modules, so it comes in a thread: the event loop does not stand still meanwhile.
        ask = await asyncio.to_thread(_build_call, host, token, self._audiences, self._timeout)
        try:
            return self._read(await ask())
        except (ValueError, TypeError, AttributeError) as error:
            raise ClusterAnswerInvalid(host.cluster, f"cluster {host.cluster}: its answer is no TokenReview") from error

    def _read(self, answer: "V1TokenReview") -> ReviewedUser | None:
        status = answer.status
        if status is None or status.authenticated is not True or not status.user or not status.user.username:
            return None
        # An API server that knows no audiences says none, and has taken the token for its own.
        if self._audiences and not set(self._audiences) & set(status.audiences or ()):
            return None
        return ReviewedUser(str(status.user.username), tuple(map(str, status.user.groups or ())))


def _build_call(
    host: Connection, token: str, audiences: list[str], timeout: float
) -> Callable[[], Awaitable["V1TokenReview"]]:
    from kubernetes_asyncio.client import AuthenticationV1Api, V1TokenReview, V1TokenReviewSpec

    from fleet.kubernetes.typed_api import TypedClient

    review = V1TokenReview(spec=V1TokenReviewSpec(token=token, audiences=audiences or None))
    return partial(AuthenticationV1Api(TypedClient(host, timeout)).create_token_review, review)
