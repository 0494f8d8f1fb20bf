"""What is generated can be read where it fails."""

import traceback

import pytest
from graphql import GraphQLObjectType, parse

from graph.compiled.executor import CompiledExecutor, build
from graph.compiled.leaves import Bailout
from graph.compiled.readers import build_reader
from graph.schema import schema


def test_a_traceback_shows_the_generated_line() -> None:
    core = schema._schema
    built = build(core, parse("{ __typename }"), None, None)
    assert built is not None
    kind = core.type_map["Pod"]
    assert isinstance(kind, GraphQLObjectType)
    reader = build_reader(kind, {}, CompiledExecutor.of(core, built, None)._writer())
    assert reader is not None
    with pytest.raises(Bailout) as caught:
        reader.read(object(), None)
    assert "if type(source) is not Pod_" in traceback.format_tb(caught.tb)[-1]
