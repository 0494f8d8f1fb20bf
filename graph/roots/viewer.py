"""Query's field about who asks."""

import strawberry

from graph.loading.context import Info
from graph.types.fields import resolved
from graph.types.viewer import Viewer


@strawberry.type
class ViewerQueries:
    """`viewer`."""

    @resolved("Who asks, and what they may see and do.")
    def viewer(self, info: Info) -> Viewer:
        return Viewer.from_model(info.context.principal)
