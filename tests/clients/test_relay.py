"""Relay's compiler on the printed schema."""

from pathlib import Path

from graph.http.persisted_manifest import read_manifest


async def test_the_compiler_takes_the_schema_with_pages_and_fragments(compiled: Path) -> None:
    names = {path.name for path in (compiled / "generated").iterdir()}
    assert {"AppQuery.graphql.ts", "AppPageQuery.graphql.ts", "AppOneQuery.graphql.ts"} <= names
    assert "memoryBytes: number | null" in (compiled / "generated" / "App_pod.graphql.ts").read_text()
    assert len(read_manifest(compiled / "persisted.json")) == 3
