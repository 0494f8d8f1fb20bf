"""The graph as an Apollo Federation 2 subgraph: entities by their keys, and the two forms of its SDL.

Source: https://www.apollographql.com/docs/graphos/schema-design/federated-schemas/reference/subgraph-spec. A gateway
asks for all entities of a request in one field; they are read from memory, each cluster waited for once at most.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any, Final, TypeVar

from graphql import DefinitionNode, DirectiveNode, FieldDefinitionNode, Node, Visitor, parse, visit

from fleet.model.errors import ClusterError, ClusterNotFound, FleetError, InvalidQuery
from fleet.model.kinds import NODES, PODS
from fleet.model.objects import NodeKey, PodKey
from fleet.model.queries import MAX_PAGE
from fleet.model.usage import Kind
from graph.ids import decode_id
from graph.loading.batches import Batch
from graph.loading.context import Context, Info
from graph.loading.listing import load_object
from graph.types.cluster import Cluster as ClusterType
from graph.types.node import Node as NodeType
from graph.types.pod import Pod as PodType

Entity = ClusterType | NodeType | PodType
Load = Callable[[Any], Awaitable[Entity | None]]
K = TypeVar("K", bound=Hashable)

FEDERATION_VERSION: Final = "2.3"
"""The oldest version that has all the schema uses: an older gateway refuses a newer one."""

_OWN_TYPES = frozenset({"_Any", "_Entity", "_Service"})
_OWN_FIELDS = frozenset({"_entities", "_service"})
_OWN_DIRECTIVES = frozenset({"key", "link", "shareable"})


async def load_entities(info: Info, representations: Sequence[object]) -> list[Entity | Exception | None]:
    """What the representations name, in their order; null where it is gone, an error in the place of what can't be had.

    A cluster that does not answer, or is none, is an error in the first of its entities and null in the rest. Raises
    InvalidQuery for more than `MAX_PAGE` representations.
    """
    if len(representations) > MAX_PAGE:
        raise InvalidQuery(f"_entities takes {MAX_PAGE:,} representations at most, not {len(representations):,}")
    await info.context.federation.wait_known()
    loads: Mapping[str, Load] = {
        "Cluster": lambda name: _load_cluster(info.context, name),
        "Node": lambda key: load_object(info, NODES, key, NodeType.from_model),
        "Pod": lambda key: load_object(info, PODS, key, PodType.from_model),
    }
    found: list[Entity | Exception | None] = [None] * len(representations)
    groups: dict[tuple[str, str], dict[int, Hashable]] = {}
    for index, representation in enumerate(representations):
        try:
            kind, cluster, key = _read(representation)
        except InvalidQuery as error:
            found[index] = error
        else:
            groups.setdefault((kind, cluster), {})[index] = key
    await asyncio.gather(*(_load_group(loads[kind], keys, found) for (kind, _), keys in groups.items()))
    return found


async def _load_group(load: Load, keys: Mapping[int, Hashable], found: list[Entity | Exception | None]) -> None:
    """Objects of one kind and cluster, one after the other: only the first may have to wait for the cluster."""
    for index, key in keys.items():
        try:
            found[index] = await load(key)
        except (ClusterError, ClusterNotFound) as error:
            found[index] = error
            return
        except FleetError as error:
            found[index] = error


def _read(representation: object) -> tuple[str, str, Hashable]:
    """The type, the cluster and the key that a representation names. Raises InvalidQuery."""
    given = representation if isinstance(representation, dict) else {}
    kind = given.get("__typename")
    if kind == "Cluster":
        name = given.get("name")
        if not isinstance(name, str):
            raise InvalidQuery("a Cluster is represented by its `name`")
        return kind, name, name
    if kind not in ("Node", "Pod"):
        raise InvalidQuery("a representation is an object with the `__typename` Cluster, Node or Pod")
    text = given.get("id")
    key = decode_id(text) if isinstance(text, str) else None
    if not isinstance(key, NodeKey if kind == "Node" else PodKey):
        raise InvalidQuery(f"a {kind} is represented by the `id` of one")
    return kind, key.cluster, key


async def _load_cluster(context: Context, name: str) -> Entity | None:
    return ClusterType.from_model(context.federation.get_cluster(context.scope, name))


async def load_metrics(info: Info, found: Sequence[Entity | Exception | None]) -> None:
    """What the selection wants of them, one question a kind. Raises InvalidQuery for a time range that is none."""
    loaders, plan, wants = info.context.loaders, info.plan, info.page_wants
    keys: Mapping[Kind, Sequence[Hashable]] = {
        Kind.POD: [entity.model.key for entity in found if isinstance(entity, PodType)],
        Kind.NODE: [entity.model.key for entity in found if isinstance(entity, NodeType)],
    }
    batches: list[tuple[Batch[Any, Any], Sequence[Hashable]]] = []
    if wants.usage:
        batches += [(loaders.usage[kind].for_(measures), keys[kind]) for kind, measures in plan.measures.items()]
    for (kind, time_range), columns in plan.columns.items():
        if time_range in wants.time_ranges:
            batches.append((loaders.history[kind].for_((time_range, columns)), keys[kind]))
    await asyncio.gather(*(batch.prime(wanted) for batch, wanted in batches))


def strip_federation(sdl: str) -> str:
    """The SDL without what only a gateway needs: what a client of this server alone can ask. Ends with one newline."""
    spans = _Spans()
    visit(parse(sdl), spans)
    kept, end = [], 0
    for start, stop in spans.found:
        kept.append(sdl[end:start].rstrip())
        end = stop
    return "".join([*kept, sdl[end:]]).strip() + "\n"


class _Spans(Visitor):
    """Where the SDL holds what is left out, with the blank before it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[int, int]] = []

    def enter(self, node: Node, *_: object) -> Any:
        own = (
            (isinstance(node, DirectiveNode) and node.name.value in _OWN_DIRECTIVES)
            or (isinstance(node, FieldDefinitionNode) and node.name.value in _OWN_FIELDS)
            or (isinstance(node, DefinitionNode) and _is_own(node))
        )
        if own and node.loc is not None:
            self.found.append((node.loc.start, node.loc.end))
            return self.SKIP
        return None


def _is_own(node: DefinitionNode) -> bool:
    return node.kind == "schema_definition" or getattr(getattr(node, "name", None), "value", None) in _OWN_TYPES
