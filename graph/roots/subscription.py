"""Subscription's fields: each checks what is asked and says what is to be followed."""

import functools
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, TypeVar

import strawberry

from auth.policy import authorize_request
from fleet.live.changes import ClusterView, EventView, ObjectView
from fleet.live.usage_sampler import Wanted, check_interval
from fleet.model import objects as models
from fleet.model.errors import InvalidQuery
from fleet.model.kinds import NODES, PODS
from fleet.model.usage import Kind
from fleet.objects.follow import check_followed
from fleet.objects.logs import LogRequest, check_log
from fleet.objects.pages import ResourceFilter as ResourceWanted
from fleet.objects.pages import ResourceQuestion
from graph.loading.context import Info
from graph.roots.resources import ResourceFilter
from graph.roots.topics import Admitted, Elsewhere, Events, LiveContext, Log, Objects, Samples, Topic
from graph.scalars import Duration
from graph.types.event import Event
from graph.types.event_filter import EventFilter, event_question
from graph.types.inputs import NodeFilter, PodFilter, node_question, pod_question
from graph.types.live import ClusterEvent, LogLine, NodeEvent, PodEvent, ResourceEvent, UsageSample

MAX_SAMPLED = 500
"""Pods and nodes of one `usage`."""

F = TypeVar("F", bound=Callable[..., Any])


@strawberry.input(description="Names a pod.")
class PodRef:
    """Names a pod whose usage is followed."""

    cluster: str = strawberry.field(description="Its cluster.")
    namespace: str = strawberry.field(description="Its namespace.")
    name: str = strawberry.field(description="Its name.")


@strawberry.input(description="Names a node.")
class NodeRef:
    """Names a node whose usage is followed."""

    cluster: str = strawberry.field(description="Its cluster.")
    name: str = strawberry.field(description="Its name.")


def followed(description: str) -> Callable[[F], F]:
    """A field of Subscription. To type checkers it stays the decorated function."""

    def declare(resolver: F) -> F:
        field: Any = strawberry.subscription(resolver=resolver, description=description)
        return field  # type: ignore[no-any-return]  # Strawberry's field takes the function's place in the class

    return declare


@strawberry.type(description="Everything that can be followed. Over WebSocket (graphql-transport-ws) or SSE.")
class Subscription:
    """The root: each field checks what is asked, then admits one topic."""

    @followed(
        "Pods: first ADDED for each that is there, then whenever one comes, goes, or a selected field of its own "
        "changes. Usage, history, events and the objects beside it are read then, and are no reason for an event."
    )
    async def pod_events(
        self,
        info: Info,
        filter: PodFilter | None = None,  # noqa: A002 - the argument's name in the graph
    ) -> AsyncIterator[PodEvent]:
        """Raises InvalidQuery, ClusterNotFound, Forbidden."""
        context = _begin(info)
        question = await context.federation.check_live(PODS, context.scope, pod_question(filter))
        return _admit(info, Objects(ObjectView(context.federation.feed, PODS, question, context.scope), PodEvent))

    @followed("Nodes; as `podEvents`.")
    async def node_events(
        self,
        info: Info,
        filter: NodeFilter | None = None,  # noqa: A002 - the argument's name in the graph
    ) -> AsyncIterator[NodeEvent]:
        """Raises InvalidQuery, ClusterNotFound, Forbidden."""
        context = _begin(info)
        question = await context.federation.check_live(NODES, context.scope, node_question(filter))
        return _admit(info, Objects(ObjectView(context.federation.feed, NODES, question, context.scope), NodeEvent))

    @followed("Clusters: first ADDED for each, then whenever one joins, leaves, or its health or message changes.")
    async def cluster_events(self, info: Info) -> AsyncIterator[ClusterEvent]:
        """Raises ClusterTimeout while it is not known which clusters exist."""
        context = _begin(info)
        await context.federation.wait_known()
        return _admit(info, Objects(ClusterView(context.federation.feed, context.scope), ClusterEvent))

    @followed(
        "Objects of any kind, custom ones included: first ADDED for each that is there, then whenever one comes, goes, "
        "or a selected field of its own changes. A field selector may name `metadata.name` and `metadata.namespace`. "
        "Of a cluster 64 MiB of a kind can be followed; of more, this ends with an error. `podEvents` costs less."
    )
    async def resource_events(
        self,
        info: Info,
        api_version: str,
        kind: str,
        filter: ResourceFilter | None = None,  # noqa: A002 - the argument's name in the graph
    ) -> AsyncIterator[ResourceEvent]:
        """Raises InvalidQuery, ClusterNotFound, Forbidden, ClusterForbidden."""
        context = _begin(info)
        question = ResourceQuestion(api_version, kind, filter.as_filter() if filter is not None else ResourceWanted())
        return _admit(info, Objects(await check_followed(context.resources.calls, question), ResourceEvent))

    @followed(
        "Events of all clusters, from now on or since the time of the filter: each as it happens, and again when it "
        "repeats. Of those that happened before and of those that are not taken 500 wait at most, the newest; how many "
        "older ones were thrown away is told as `extensions.dropped`."
    )
    async def events(
        self,
        info: Info,
        filter: EventFilter | None = None,  # noqa: A002 - the argument's name in the graph
    ) -> AsyncIterator[Event]:
        """Raises InvalidQuery, ClusterNotFound, Forbidden."""
        context = _begin(info)
        question = await context.federation.check_events(context.scope, event_question(filter), "watch")
        return _admit(info, Events(EventView(context.federation.feed, question, context.scope)))

    @followed(
        "Usage of the pods and nodes named, 500 at most: all of them that have any, at first and then after each "
        "interval in which the newest point of one of them changed."
    )
    async def usage(
        self,
        info: Info,
        pods: Annotated[list[PodRef] | None, strawberry.argument(description="Pods.")] = None,
        nodes: Annotated[list[NodeRef] | None, strawberry.argument(description="Nodes.")] = None,
        interval: Annotated[
            Duration | None, strawberry.argument(description="How often to look, 1s at least and 1h at most.")
        ] = Duration(5.0),  # noqa: B008 - a number
    ) -> AsyncIterator[list[UsageSample]]:
        """Raises InvalidQuery, ClusterNotFound, Forbidden."""
        context = _begin(info)
        await context.federation.wait_known()
        own = functools.partial(context.federation.own_name, context.scope)
        pod_keys = frozenset(models.PodKey(own(ref.cluster), ref.namespace, ref.name) for ref in pods or ())
        node_keys = frozenset(models.NodeKey(own(ref.cluster), ref.name) for ref in nodes or ())
        _check_sampled(context, pod_keys, node_keys)
        measures = info.plan.measures.get(Kind.POD, frozenset())
        seconds = check_interval(Duration(5.0) if interval is None else interval)
        return _admit(info, Samples(Wanted(pod_keys, node_keys, measures), seconds))

    @followed("A container's log, until it ends; needs the role that reads logs.")
    async def logs(
        self,
        info: Info,
        cluster: str,
        namespace: str,
        pod: str,
        container: Annotated[
            str | None, strawberry.argument(description="The container; may be left out where the pod has one.")
        ] = None,
        tail_lines: Annotated[
            int | None, strawberry.argument(description="Lines of what is there already, 10,000 at most.")
        ] = 100,
        follow: Annotated[
            bool | None, strawberry.argument(description="Whether to go on with what is written from now on.")
        ] = True,
    ) -> AsyncIterator[LogLine]:
        """Raises InvalidQuery, NotFound, Forbidden."""
        context = _begin(info)
        await context.federation.wait_known()
        request = LogRequest(
            models.PodKey(context.federation.resolve_name(context.scope, cluster), namespace, pod),
            container,
            100 if tail_lines is None else tail_lines,
            follow is not False,
        )
        authorize = functools.partial(authorize_request, context.principal)
        return _admit(info, Log(check_log(context.federation, context.scope, authorize, request)))


def _begin(info: Info) -> LiveContext:
    context = info.context
    if not isinstance(context, LiveContext):
        raise InvalidQuery("a subscription needs a connection that stays open: WebSocket or SSE")
    context.subscribing = True
    return context


def _admit(info: Info, topic: Topic) -> AsyncIterator[Any]:
    context = _begin(info)
    context.admitted = Admitted(topic, info._raw_info)  # noqa: SLF001 - as in `graph.loading.context`
    return Elsewhere()


def _check_sampled(context: LiveContext, pods: frozenset[models.PodKey], nodes: frozenset[models.NodeKey]) -> None:
    if not pods and not nodes:
        raise InvalidQuery("name `pods` or `nodes` whose usage is to be followed")
    if len(pods) + len(nodes) > MAX_SAMPLED:
        raise InvalidQuery(f"{MAX_SAMPLED} pods and nodes at most, not {len(pods) + len(nodes)}")
    for pod in pods:
        context.federation.check_reach(PODS, context.scope, pod)
    for node in nodes:
        context.federation.check_reach(NODES, context.scope, node)
