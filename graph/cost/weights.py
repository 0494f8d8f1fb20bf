"""What things cost, in units: a unit is one plain field of one object, some three microseconds of one core."""

from collections.abc import Mapping

OBJECT = 1.0
"""An object that is made, beside its fields."""

SCANNED = 0.25
"""An object that a page is filtered, ordered and cut from."""

CONDITION = 0.1
"""A condition of a filter inside a filter, that an object is held against."""

COUNTED = 0.1
"""An object that is only counted or summed up."""

SERIES = 5.0
"""An object whose newest usage is asked of the metric store."""

POINT = 0.5
"""A step of a column of history: half in the store, half in the answer."""

SPAN_SECONDS = 600.0
"""Seconds of stored points of one object that cost a unit to read, whatever the step."""

MAX_SPAN_SECONDS = 30 * 86_400.0
"""Stores keep no more than that of any use: a longer look back reads nothing more."""

DECODED = 20.0
"""A whole object that is decompressed and decoded for a field that its record does not have."""

MANIFEST = 100.0
"""A whole object in the answer."""

CALL = 200.0
"""A call to a cluster: less for the time it takes than for what it asks of the cluster."""

ROW = 20.0
"""An object of any kind that a cluster sends."""

RELATED = 50.0
"""An object whose owner is looked up at its cluster."""

EVENTFUL = 100.0
"""An object whose events are looked for: its cluster reads through all of the namespace's."""

WAITING = 500
"""Events that wait for a subscriber at most (`graph.subscriptions.event_channel`)."""

ROWS_A_CALL = 500
"""Objects a cluster sends in one call."""

EXPECTED: Mapping[str, float] = {
    "Pod.labels": 8,
    "Pod.annotations": 8,
    "Pod.containers": 3,
    "Pod.conditions": 5,
    "Pod.resourceClaims": 1,
    "Pod.placements": 2,
    "Query.placements": 2,
    "Node.labels": 10,
    "Node.annotations": 8,
    "Node.conditions": 5,
    "Node.taints": 1,
    "Node.addresses": 2,
    "Node.podsAt": 30,
    "Resources.extended": 2,
    "Problem.clusters": 3,
    "Problem.namespaces": 5,
    "Workload.labels": 6,
    "Workload.images": 2,
    "Resource.labels": 6,
    "Resource.annotations": 4,
    "Resource.columns": 8,
}
"""Items a list is taken to have whose length is not known before."""

EXPECTED_ITEMS = 5.0
"""Items of any other such list."""

DECODING = frozenset(
    {
        "Pod.annotations",
        "Pod.containers",
        "Pod.conditions",
        "Pod.resourceClaims",
        "Node.annotations",
        "Resource.annotations",
    }
)
"""Fields that are read from the whole object."""
