"""Query's field for finding anything that is in memory by a text."""

from typing import Annotated

import strawberry

from fleet.model.search import DEFAULT_HITS
from graph.enums import OnUnavailable, SearchKind
from graph.loading.context import Info
from graph.types.fields import resolved
from graph.types.inputs import ClusterSelector, parse_cluster_selector
from graph.types.search import SearchResult


@strawberry.type
class SearchQueries:
    """`search`."""

    @resolved(
        "Objects with a text in their name, whatever its case; where those are too few, also in their namespace, node, "
        "labels, addresses and images. What is the text comes first, then what begins with it, has a word that "
        "does, has it inside."
    )
    async def search(
        self,
        info: Info,
        text: Annotated[str, strawberry.argument(description="What to look for, 256 characters at most.")],
        kinds: Annotated[
            list[SearchKind] | None, strawberry.argument(description="Kinds to look among; all where it is left out.")
        ] = None,
        first: Annotated[int | None, strawberry.argument(description="Hits, 100 at most.")] = DEFAULT_HITS,
        on_unavailable: OnUnavailable | None = OnUnavailable.PARTIAL,
        cluster_selector: ClusterSelector = None,
    ) -> SearchResult:
        """From memory, in slices. Raises InvalidQuery, and as a list does with STRICT."""
        found = await info.context.federation.search(
            info.context.scope,
            text,
            frozenset(SearchKind if kinds is None else kinds),
            DEFAULT_HITS if first is None else first,
            on_unavailable or OnUnavailable.PARTIAL,
            parse_cluster_selector(cluster_selector),
        )
        return SearchResult.from_model(found)
