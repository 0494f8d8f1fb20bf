"""Query's field about who asks."""

import strawberry

from graph.context import Info
from graph.fields import resolved
from graph.types.viewer import Viewer


@strawberry.type
class ViewerQueries:
    """`viewer`."""

    @resolved("Who asks, and what they may see and do.")
    def viewer(self, info: Info) -> Viewer:
        """From the credential."""
        return Viewer.from_model(info.context.principal)
