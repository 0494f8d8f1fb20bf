"""Relay's PageInfo: where a page is, by the cursors of its ends."""

from typing import Any, Self

import strawberry

from fleet.model.queries import Page
from fleet.reads.grouping import GroupPage


@strawberry.federation.type(shareable=True, description="Where a page is in the whole.")
class PageInfo:
    """As Relay's connection specification has it."""

    has_next_page: bool = strawberry.field(description="Whether there is more after this page.")
    has_previous_page: bool = strawberry.field(description="Whether there is something before this page.")
    start_cursor: str | None = strawberry.field(description="Cursor of the first item.")
    end_cursor: str | None = strawberry.field(description="Cursor of the last item: the next page's `after`.")

    @classmethod
    def from_model(cls, page: Page[Any] | GroupPage) -> Self:
        return cls(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=page.cursors[0] if page.cursors else None,
            end_cursor=page.cursors[-1] if page.cursors else None,
        )
