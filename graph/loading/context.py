"""What a resolver gets: who asks, what can be asked, and the request's loaders."""

import dataclasses
from collections.abc import Sequence
from functools import cached_property

import strawberry
from graphql import FieldNode

from auth.principal import Principal
from fleet.federation import Federation
from fleet.model.redaction import EnvValues
from fleet.model.usage import History, Usage
from fleet.model.visibility import Scope
from graph.extensions import AnswerExtensions, Asked
from graph.limits.limits import DEFAULT_LIMITS, Limits
from graph.loading.loaders import Loaders
from graph.loading.lookahead import OperationPlan, PageWants, build_plan, find_wants
from graph.loading.resources import ResourceLoaders
from graph.loading.single_flight import SingleFlight
from graph.loading.time_range import TimeRangeRequest
from graph.loading.timeslice import TimeSlices

ASKING_SHARE = 7 / 8
"""The part of the request's time in which members and stores may answer; the rest is kept for making the answer."""


@dataclasses.dataclass
class Context:
    """One request's context. `plan` is made when the first resolver needs it, `extensions` are the answer's.

    `compiled` lets plain selections be read by generated code, `encoded` lets lists of them be JSON text already, and
    long answers are made one after the other in `turns`.
    """

    principal: Principal
    federation: Federation
    loaders: Loaders
    plan: OperationPlan | None = None
    limits: Limits = DEFAULT_LIMITS
    asked: Asked = dataclasses.field(default_factory=Asked)
    extensions: AnswerExtensions = dataclasses.field(default_factory=dict)
    compiled: bool = True
    encoded: bool = False
    redact_env: EnvValues = EnvValues.SHOWN
    time_slices: TimeSlices = dataclasses.field(default_factory=TimeSlices)

    @cached_property
    def resources(self) -> ResourceLoaders:
        """The loaders of objects that members are asked for, made when the first resolver needs them."""
        return ResourceLoaders(self.federation, self.principal, self.loaders.dispatch.deadline)

    @cached_property
    def cluster_usage(self) -> SingleFlight[str, Usage]:
        return SingleFlight()

    @cached_property
    def cluster_history(self) -> SingleFlight[tuple[str, TimeRangeRequest], History]:
        return SingleFlight()

    @property
    def scope(self) -> Scope:
        return self.principal.scope


class GraphInfo(strawberry.Info[Context, None]):
    """Strawberry's info, and what the operation selects of usage and history."""

    @cached_property
    def plan(self) -> OperationPlan:
        """What the whole operation selects. One walk a request."""
        context = self.context
        if context.plan is None:
            context.plan = build_plan(self._raw_info)
        return context.plan

    @cached_property
    def page_wants(self) -> PageWants:
        """What the current field, a connection, selects of its items' usage and history."""
        return find_wants(self.plan, self.nodes)

    @property
    def nodes(self) -> Sequence[FieldNode]:
        return self._raw_info.field_nodes


Info = GraphInfo
"""The one alias that resolvers annotate their `info` with."""
