"""One name a cluster, and one cluster a server, among all that one source describes."""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from fleet.ports import MemberSpec


def name_once(described: Iterable[tuple[str, MemberSpec]]) -> Mapping[str, MemberSpec]:
    """Those to be listed, by their owners (kind and key of an object, `Secret ns/name`), of which the first counts.

    The first is the oldest: what is written later takes neither name nor server from what runs.

    What leads to the server of one before is that one, which its name leads to as well, or its pods would be counted
    twice. What has a name that is taken, and leads elsewhere or nowhere, is listed by its key and with this problem.
    """
    owners: dict[str, str] = {}
    places: dict[str, str] = {}
    listed: dict[str, MemberSpec] = {}
    clashes: dict[str, MemberSpec] = {}
    for owner, spec in described:
        place = "" if spec.credential is None else spec.credential.place
        same = places.get(place)
        if same is not None:
            names = listed[same].name, *listed[same].other_names
            if owners.setdefault(spec.name, same) == same and spec.name not in names:
                listed[same] = replace(listed[same], other_names=(*names[1:], spec.name))
        elif spec.name in owners:
            problem = f"{owner}: {owners[spec.name]} has its name: name one of them otherwise"
            clashes[owner] = replace(spec, name=owner.partition(" ")[2], credential=None, problem=problem)
        else:
            owners[spec.name], listed[owner] = owner, spec
            if place:
                places[place] = owner
    # A name may look like a key: it is its own cluster's.
    return listed | {owner: spec for owner, spec in clashes.items() if spec.name not in owners}
