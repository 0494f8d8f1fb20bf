"""What only an object's whole manifest says, decoded when it is asked for: nothing of it is kept beside the records."""

from fleet.kubernetes.codec.pods import annotations_of, pod_details
from fleet.kubernetes.codec.tables import conditions_of

__all__ = ["annotations_of", "conditions_of", "pod_details"]
