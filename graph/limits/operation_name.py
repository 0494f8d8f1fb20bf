"""Which of a document's operations is meant. Source: GraphQL specification, "Executing Requests", GetOperation."""

from collections.abc import Iterator

from graphql import GraphQLError, OperationDefinitionNode
from strawberry.extensions import SchemaExtension

_SHOWN = 10


class OneOperation(SchemaExtension):
    """Refuses a document of several operations of which none is named; Strawberry would run the first."""

    def on_execute(self) -> Iterator[None]:
        """Raises GraphQLError before the first resolver runs."""
        document = self.execution_context.graphql_document
        if document is not None and self.execution_context._provided_operation_name is None:  # noqa: SLF001 - the other says the first's name
            found = [part for part in document.definitions if isinstance(part, OperationDefinitionNode)]
            if len(found) > 1:
                names = [part.name.value for part in found if part.name is not None][:_SHOWN]
                raise GraphQLError(
                    f"the document has {len(found)} operations: say by `operationName` which one to run: "
                    + ", ".join(names)
                )
        yield
