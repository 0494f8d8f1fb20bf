"""What is generated can be read where it fails, for as long as it is there."""

import gc
import linecache
import traceback

import pytest
from graphql import GraphQLObjectType, parse

from graph.compiled.executor import CompiledExecutor, build
from graph.compiled.leaves import Bailout
from graph.compiled.readers import build_reader
from graph.schema import schema


def test_a_traceback_shows_the_generated_line_until_the_function_is_dropped() -> None:
    core = schema._schema
    built = build(core, parse("{ __typename }"), None, None)
    assert built is not None
    kind = core.type_map["Pod"]
    assert isinstance(kind, GraphQLObjectType)
    reader = build_reader(kind, {}, CompiledExecutor.of(core, built, None)._writer())
    assert reader is not None
    file = reader.read.__code__.co_filename
    with pytest.raises(Bailout) as caught:
        reader.read(object(), None)
    assert "if type(source) is not Pod_" in traceback.format_tb(caught.tb)[-1]
    linecache.checkcache()
    assert file in linecache.cache
    del reader, caught
    gc.collect()
    assert file not in linecache.cache
