"""The rows of clusters: one for each, and one for the rights, clocks, certificates, tokens and usage of all."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from fleet.kubernetes.access_reviews import Need
from server.check.clusters import Clusters, Tried, describe_reach, places_of
from server.check.mends import CLOCK, grant, install_metrics_server, set_token
from server.check.rows import Row
from server.rights import NEEDS
from server.settings.groups import Settings

SKEW_SECONDS = 5.0
"""A clock that is off by less shows in nothing."""

ENDS_SOON = timedelta(days=14)
TOKEN_ENDS_SOON = timedelta(days=1)


def build_cluster_rows(settings: Settings, clusters: Clusters) -> list[Row]:
    """The sources, each cluster, what is common to those that answer, and what is wrong with one of them."""
    tried, answering = clusters.tried, [each for each in clusters.tried if each.answers]
    rows = [*clusters.sources, *map(_build_reach_row, tried)]
    if tried and all(each.refused for each in tried):
        rows.append(Row("credentials", "ill", "no cluster takes this server's credential (401)", tried[0].mend))
    if not answering:
        return rows
    rows += _or_fine("rights", "each cluster lets this server do what it needs", _check_rights(answering))
    rows += _or_fine("clocks", f"within {SKEW_SECONDS:g} s of this machine's", _check_clocks(answering))
    rows += _or_fine("certificates", _say_first_end(answering), _check_certificates(answering))
    rows += _or_fine("tokens", "none of those that clusters are shown ends soon", _check_tokens(settings, answering))
    if NEEDS["collector"](settings):
        rows += _or_fine("usage", "can be collected from each cluster", _check_usage(answering))
    return rows


def _or_fine(what: str, said: str, wrong: Iterator[Row]) -> list[Row]:
    return list(wrong) or [Row(what, "ok", said)]


def _build_reach_row(tried: Tried) -> Row:
    if tried.problem is not None:
        return Row(tried.what, "ill", tried.problem, tried.mend, is_member=True)
    said = "; ".join([describe_reach(tried), *tried.doubts])
    return Row(tried.what, "warn" if tried.doubts else "ok", said, is_member=True)


def _check_rights(answering: Sequence[Tried]) -> Iterator[Row]:
    for each in answering:
        if not each.lacking:
            continue
        # Without its lists the cluster is not served; without others something of it is not shown.
        vital = any(need.verb in ("list", "watch") and need.group == "" for need in each.lacking)
        said = f"{each.identity or 'this server'} may not {_describe(each.lacking)}"
        mend = grant(each.name, places_of(each.spec), each.identity)
        yield Row(f"rights of {each.name}", "ill" if vital else "warn", said, mend, is_member=True)


def _describe(needs: Sequence[Need]) -> str:
    """`list, watch nodes, pods; get pods/log in openmcp`."""
    verbs: defaultdict[tuple[str | None, str], list[str]] = defaultdict(list)
    for need in needs:
        verbs[need.namespace, f"{need.resource}.{need.group}".rstrip(".")].append(need.verb)
    resources: defaultdict[tuple[str, str | None], list[str]] = defaultdict(list)
    for (namespace, resource), some in verbs.items():
        resources[", ".join(some), namespace].append(resource)
    return "; ".join(
        f"{some} {', '.join(names)}" + (f" in {namespace}" if namespace else "")
        for (some, namespace), names in resources.items()
    )


def _check_clocks(answering: Sequence[Tried]) -> Iterator[Row]:
    for each in answering:
        issued_ahead = (each.proofs.claims.iat or 0.0) - time.time()
        ahead = max(each.ahead or 0.0, issued_ahead, key=abs) if issued_ahead > SKEW_SECONDS else each.ahead or 0.0
        if abs(ahead) > SKEW_SECONDS:
            side = "ahead of" if ahead > 0 else "behind"
            said = f"{abs(ahead):.0f} s {side} this machine's: ages and ends of tokens are off by that"
            yield Row(f"clock of {each.name}", "warn", said, CLOCK, is_member=True)


def _say_first_end(answering: Sequence[Tried]) -> str:
    ends = [each.proofs.certificate_ends_at for each in answering if each.proofs.certificate_ends_at]
    return f"verified, the first ends on {describe_time(min(ends))}" if ends else "none: all clusters speak plain HTTP"


def _check_certificates(answering: Sequence[Tried]) -> Iterator[Row]:
    for each in answering:
        ends_at = each.proofs.certificate_ends_at
        if ends_at is not None and ends_at - datetime.now(UTC) < ENDS_SOON:
            said = f"its API server's ends on {describe_time(ends_at)}: who runs that cluster renews it"
            yield Row(f"certificate of {each.name}", "warn", said, "kubeadm certs renew apiserver", is_member=True)


def _check_tokens(settings: Settings, answering: Sequence[Tried]) -> Iterator[Row]:
    for each in answering:
        end = each.proofs.claims.exp
        if end and not each.proofs.is_renewed and end - time.time() < TOKEN_ENDS_SOON.total_seconds():
            ends_at = describe_time(datetime.fromtimestamp(end, UTC))
            said = f"the one that it is shown ends on {ends_at}, and nobody renews it"
            yield Row(f"token of {each.name}", "warn", said, set_token(settings, each.name), is_member=True)


def _check_usage(answering: Sequence[Tried]) -> Iterator[Row]:
    for each in answering:
        if each.usage:
            said = f"can't be collected: {each.usage}"
            yield Row(f"usage of {each.name}", "warn", said, install_metrics_server(each.name), is_member=True)


def describe_time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
