"""Events of objects, asked of their members: one list for the objects of one namespace and kind, whatever their number.

Source: Kubernetes API, core/v1 Event. Events about objects of the whole cluster are in the namespace `default`.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import Sequence

import msgspec

from fleet.kubernetes.codec.events import build_event
from fleet.model.errors import FleetError
from fleet.model.kube_objects import Event, KubeObject, Subject
from fleet.model.unreadable import UNREADABLE
from fleet.objects.calls import MemberCalls

MAX_EVENTS = 10_000
"""Events of one namespace and kind that are looked through at most."""

_ESCAPED = re.compile(r"[\\,=]")
_Group = tuple[str, str, str]


async def load_events(calls: MemberCalls, subjects: Sequence[Subject]) -> list[list[Event] | FleetError]:
    """The events of each subject, newest first, in the order given, with an error in the place of what failed."""
    groups: dict[_Group, list[Subject]] = defaultdict(list)
    for subject in subjects:
        groups[subject.cluster, subject.namespace, subject.kind].append(subject)
    answers = await asyncio.gather(*(_load_group(calls, group, members) for group, members in groups.items()))
    found = dict(zip(groups, answers, strict=True))
    result: list[list[Event] | FleetError] = []
    for subject in subjects:
        events = found[subject.cluster, subject.namespace, subject.kind]
        result.append(events if isinstance(events, FleetError) else events.get(subject, []))
    return result


async def _load_group(
    calls: MemberCalls, group: _Group, subjects: list[Subject]
) -> dict[Subject, list[Event]] | FleetError:
    cluster, namespace, kind = group
    selector = f"involvedObject.kind={kind}"
    if len(subjects) == 1:
        name = _ESCAPED.sub(r"\\\g<0>", subjects[0].name)
        selector += f",involvedObject.name={name}"
    try:
        query = {"fieldSelector": selector}
        found = await calls.list_all(cluster, "v1", "Event", namespace or "default", query, MAX_EVENTS)
    except FleetError as error:
        return error
    named = {subject.name: subject for subject in subjects}
    sorted_in: dict[Subject, list[Event]] = defaultdict(list)
    for item in found:
        event = _decode(item)
        subject = named.get(event.regarding.name) if event is not None else None
        # Kubelets give a node's name in the place of its UID.
        if event is not None and subject is not None and event.regarding.uid in ("", subject.uid, subject.name):
            sorted_in[subject].append(msgspec.structs.replace(event, regarding=subject))
    for events in sorted_in.values():
        events.sort(key=lambda event: event.last_seen or 0.0, reverse=True)
    return sorted_in


def _decode(item: KubeObject) -> Event | None:
    try:
        return build_event(item.raw, item.cluster)
    except UNREADABLE:  # one broken event must not take the others away
        return None
