"""Kubernetes' own label and field selectors, parsed once and matched many times."""

from fleet.models import Node, Pairs, Pod


class LabelSelector:
    """A parsed label selector (equality and set based). Hashable and equal by its text."""

    def matches(self, labels: Pairs) -> bool:
        """Whether an object with these labels is selected."""
        raise NotImplementedError


class FieldSelector:
    """A parsed field selector (`=`, `==`, `!=`, joined by commas) over the fields the API server supports for the kind."""

    def matches(self, record: Pod | Node) -> bool:
        """Whether the record is selected."""
        raise NotImplementedError


def parse_label_selector(text: str) -> LabelSelector:
    """Parses `app=web,tier in (a,b),!legacy`. Raises InvalidQuery that names the place and what would be right."""
    raise NotImplementedError


def parse_pod_field_selector(text: str) -> FieldSelector:
    """Parses `spec.nodeName=n1,status.phase!=Running`. Raises InvalidQuery that lists the supported fields."""
    raise NotImplementedError


def parse_node_field_selector(text: str) -> FieldSelector:
    """Parses `metadata.name=n1,spec.unschedulable=true`. Raises InvalidQuery that lists the supported fields."""
    raise NotImplementedError
