"""A value for each thing that the chart lets be set."""

from typing import Any

ALL: dict[str, Any] = {
    "image": {"repository": "registry.example.org/openmcp", "digest": f"sha256:{'0' * 64}", "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "registry"}],
    "kubeconfigSecret": "kubeconfigs",
    "ownCluster": "here",
    "usersSecret": "users",
    "tlsSecret": "tls",
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "extraEnvFrom": [{"configMapRef": {"name": "more"}}],
    "extraVolumes": [{"name": "plugins", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "plugins", "mountPath": "/plugins"}],
    "persistence": {"enabled": True, "storageClass": "fast", "size": "20Gi"},
    "scratch": "1Gi",
    "service": {"type": "NodePort", "nodePort": 30001, "annotations": {"a.example/b": "c"}},
    "serviceAccount": {"name": "account", "annotations": {"eks.amazonaws.com/role-arn": "arn"}},
    "rbac": {"kubelets": True, "view": True, "edit": True, "portal": True},
    "networkPolicy": {
        "from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
        "egress": [{"ports": [{"port": 6443}], "to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}],
    },
    "podDisruptionBudget": {"enabled": False},
    "autoscaling": {"enabled": False},
    "monitoring": {"enabled": True, "namespace": "prometheus", "labels": {"release": "stack"}, "interval": "15s"},
    "nats": {"enabled": True, "storageClass": "fast", "size": "20Gi"},
    "podAnnotations": {"a.example/b": "c"},
    "podLabels": {"team": "platform"},
    "nodeSelector": {"pool": "system"},
    "tolerations": [{"key": "system", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "system-cluster-critical",
}
