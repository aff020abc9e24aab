"""The NetworkPolicy of a session: only the platform comes in; out goes to it, to names and to what is allowed. Pure."""

from typing import Any

from studiolo.engines.kubernetes import names
from studiolo.engines.kubernetes.settings import KubernetesSettings, NetworkSettings

_DNS_PORTS = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
_NAMESPACE = "kubernetes.io/metadata.name"


def policy(settings: KubernetesSettings, instance: str, workload_id: str) -> dict[str, Any]:
    """Return the policy of a session's pods."""
    network = settings.network
    platform = _platform(network)
    pods = {names.INSTANCE: instance, names.WORKLOAD: workload_id}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": names.policy_name(workload_id), "labels": {**pods, **names.MANAGED}},
        "spec": {
            "podSelector": {"matchLabels": pods},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {
                    "from": platform,
                    "ports": [{"protocol": "TCP", "port": port} for port in (settings.port, settings.kernels_port)],
                }
            ],
            "egress": [
                {"to": [*platform, *_blocks(network.egress_cidrs)]},
                # To anywhere, this port would be a way out.
                {"to": [_namespace("kube-system"), *_blocks(network.dns_cidrs)], "ports": _DNS_PORTS},
            ],
        },
    }


def _platform(network: NetworkSettings) -> list[dict[str, Any]]:
    pods: dict[str, Any] = {"podSelector": {"matchLabels": network.platform_labels}}
    if network.platform_namespace:
        pods |= _namespace(network.platform_namespace)
    return [pods, *_blocks(network.platform_cidrs)]


def _namespace(name: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {_NAMESPACE: name}}}


def _blocks(cidrs: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{"ipBlock": {"cidr": cidr}} for cidr in cidrs]
