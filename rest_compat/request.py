"""What a legacy route is given: a request, and what the lifespan opened for it."""

from typing import NotRequired

from starlette import requests

from auth.dependencies import AuthState
from fleet.aio.stopping import Stopping
from fleet.federation import Federation
from fleet.model.redaction import EnvValues
from fleet.ports import Joining, MetricStore
from rest_compat.platform import PlatformOptions


class RestState(AuthState):
    """What the legacy routes read of the lifespan's state. `request_timeout` is in seconds."""

    federation: Federation
    metric_store: MetricStore
    request_timeout: float
    platform: PlatformOptions
    joining: Joining
    stopping: Stopping
    redact_env: NotRequired[EnvValues]


class Request(requests.Request[RestState]):
    """A request whose state is typed; a class of its own, since FastAPI finds a request parameter by `issubclass`."""
