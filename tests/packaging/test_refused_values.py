"""Values that the charts refuse, by their schemas or their templates, with a sentence that names the key."""

from __future__ import annotations

import json
import resource
from typing import Any

import pytest

from app.replica.caps import find_caps
from app.settings import Settings
from tests.packaging.conftest import Charts

pytestmark = pytest.mark.timeout(300)

NAMESPACE = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "traefik"}}}
EVERYBODY: dict[str, Any] = {"namespaceSelector": {}}
ANYWHERE = {"ipBlock": {"cidr": "0.0.0.0/0"}}

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"replicas": 3}, "replicas"),
    ({"replicaCount": "three"}, "replicaCount"),
    ({"replicaCount": -1}, "replicaCount"),
    ({"image": {"digest": "sha256:12"}}, "digest"),
    ({"image": {"tag": "a b"}}, "tag"),
    ({"image": {"repository": "registry.example/join-session:1"}}, "repository"),
    ({"image": {"repository": "join-session:1"}}, "repository"),
    ({"redis": {"image": {"repository": "valkey:8"}}}, "repository"),
    ({"global": {"imagePullSecrets": [{"secret": "a"}]}}, "imagePullSecrets"),
    ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
    ({"config": {"capasity": 5}}, "capasity"),
    ({"config": {"capacity": 0}}, "capacity"),
    ({"config": {"capacity": "many"}}, "capacity"),
    ({"config": {"logLevel": 7}}, "logLevel"),
    ({"config": {"secondConnection": "maybe"}}, "secondConnection"),
    ({"config": {"trustedProxies": "10.0.0.0/8"}}, "trustedProxies"),
    ({"externalRedis": {"url": "http://redis"}}, "externalRedis"),
    ({"service": {"type": "ExternalName"}}, "service"),
    ({"service": {"port": 70000}}, "port"),
    ({"ingress": {"controller": "apache"}}, "controller"),
    ({"ingress": {"hosts": ["Movies.Example"]}}, "hosts"),
    ({"ingress": {"paths": [{"path": "api", "pathType": "Prefix"}]}}, "paths"),
    ({"ingress": {"paths": [{"path": "/"}]}}, "pathType"),
    ({"ingress": {"stickiness": {"sameSite": "Lax"}}}, "sameSite"),
    ({"ingress": {"stickiness": {"cookieName": "a=b"}}}, "cookieName"),
    ({"ingress": {"affinity": "client"}}, "affinity"),
    ({"httpRoute": {"affinity": "replica"}}, "affinity"),
    ({"httpRoute": {"enabled": True}}, "parentRefs"),
    ({"autoscaling": {"minReplicas": 0}}, "minReplicas"),
    ({"drain": {"seconds": -1}}, "seconds"),
    ({"podDisruptionBudget": {"maxUnavailable": "half"}}, "maxUnavailable"),
    ({"podDisruptionBudget": {"unhealthyPodEvictionPolicy": "Never"}}, "unhealthyPodEvictionPolicy"),
    ({"resources": {"limits": {"memory": "plenty"}}}, "memory"),
    ({"probes": {"liveness": {"httpGet": {}}}}, "httpGet"),
    ({"serviceMonitor": {"interval": "often"}}, "interval"),
    ({"prometheusRule": {"window": "long"}}, "window"),
    ({"prometheusRule": {"runbooks": "docs/alerts.md"}}, "runbooks"),
    ({"prometheusRule": {"alerts": {"SlowJoins": {"threshold": "often"}}}}, "threshold"),
    ({"prometheusRule": {"alerts": {"SlowBoots": {"for": "1m", "severity": "page"}}}}, "SlowBoots"),
    ({"dashboard": {"labels": {"grafana_dashboard": 1}}}, "grafana_dashboard"),
    ({"otel": {"endpoint": "collector:4318"}}, "endpoint"),
    ({"redis": {"appendfsync": "sometimes"}}, "appendfsync"),
    ({"redis": {"replicas": 3}}, "replicas"),
    ({"redis": {"persistence": {"whenDeleted": "Maybe"}}}, "whenDeleted"),
    # What no schema can say, the templates refuse.
    ({"redis": {"enabled": False}}, "externalRedis.url"),
    ({"externalRedis": {"url": "redis://elsewhere"}}, "redis.enabled=false"),
    ({"redis": {"enabled": False}, "externalRedis": {"url": "redis://a", "existingSecret": "b"}}, "externalRedis.url"),
    ({"fullnameOverride": "a", "redis": {"fullnameOverride": "a"}}, "redis.fullnameOverride"),
    ({"fullnameOverride": "a", "redis": {"fullnameOverride": "a-internal"}}, "redis.fullnameOverride"),
    ({"nameOverride": "redis"}, "nameOverride"),
    ({"image": {"tag": "1", "digest": "sha256:" + "a" * 64}}, "image.digest"),
    ({"secrets": {"existingSecret": "a"}}, "secrets.existingSecretKeys"),
    ({"externalRedis": {"keyPrefix": "a"}}, "externalRedis.keyPrefix"),
    ({"externalRedis": {"moving": True}}, "externalRedis.moving"),
    ({"externalRedis": {"moving": True, "url": "redis://a,b", "keyPrefix": "b"}}, "keyPrefix=js"),
    ({"redis": {"enabled": False}, "externalRedis": {"moving": True, "url": "redis://a"}}, "redis.enabled=true"),
    ({"externalRedis": {"keyPrefix": "a:b"}}, "keyPrefix"),
    ({"terminationGracePeriodSeconds": 39}, "terminationGracePeriodSeconds"),
    ({"drain": {"seconds": 50}}, "drain.seconds"),
    ({"autoscaling": {"enabled": True}, "keda": {"enabled": True}}, "keda.enabled"),
    ({"autoscaling": {"enabled": True, "minReplicas": 11}}, "autoscaling.minReplicas"),
    ({"keda": {"enabled": True}}, "keda.prometheusAddress"),
    ({"autoscaling": {"enabled": True, "connections": {"enabled": True, "target": 20_000}}}, "connections.target"),
    (
        {
            "keda": {"enabled": True, "prometheusAddress": "http://a", "connections": 900},
            "config": {"maxConnections": 900},
        },
        "keda.connections",
    ),
    ({"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}, "podMonitor.enabled"),
    ({"podDisruptionBudget": {"minAvailable": 1}}, "podDisruptionBudget.maxUnavailable"),
    ({"podDisruptionBudget": {"minAvailable": 2, "maxUnavailable": None}}, "podDisruptionBudget.minAvailable"),
    ({"podDisruptionBudget": {"minAvailable": "100%", "maxUnavailable": None}}, "podDisruptionBudget.minAvailable"),
    ({"podDisruptionBudget": {"minAvailable": "51%", "maxUnavailable": None}}, "podDisruptionBudget.minAvailable"),
    ({"podDisruptionBudget": {"maxUnavailable": "0%"}}, "podDisruptionBudget.maxUnavailable"),
    ({"ingress": {"enabled": True, "className": "nginx"}}, "ingress.controller to nginx"),
    ({"ingress": {"enabled": True, "controller": "nginx", "className": "haproxy-1"}}, "haproxy or haproxy-ingress"),
    ({"ingress": {"enabled": True, "affinity": "session"}}, "Traefik cannot choose a replica by the hash of a cookie"),
    ({"ingress": {"enabled": True, "timeoutSeconds": 45}}, "ingress.timeoutSeconds"),
    ({"ingress": {"enabled": True, "timeoutSeconds": 60}, "config": {"pingInterval": 40}}, "config.pingInterval"),
    ({"secrets": {"existingSecret": "a", "secret": "b"}}, "secrets.existingSecret"),
    ({"secrets": {"secret": "s" * 31}}, "secrets.secret has 31 characters: it needs at least 32"),
    ({"secrets": {"secret": f"{'s' * 32},{'t' * 30}"}}, "secrets.secret has 30 characters: it needs at least 32"),
    ({"secrets": {"operatorToken": "t" * 15}}, "secrets.operatorToken has 15 characters: it needs at least 16"),
    ({"secrets": {"webhookSecret": f"{'s' * 32},{'t' * 31}"}}, "secrets.webhookSecret has 31 characters: it needs"),
    ({"ingress": {"enabled": True}}, "config.trustedProxies"),
    ({"ingress": {"enabled": True}}, "networkPolicy.ingressFrom"),
    ({"ingress": {"enabled": True}, "networkPolicy": {"enabled": True}}, "config.trustedProxies"),
    ({"ingress": {"enabled": True}, "networkPolicy": {"ingressFrom": [NAMESPACE]}}, "config.trustedProxies"),
    (
        {"ingress": {"enabled": True}, "networkPolicy": {"enabled": True, "ingressFrom": [NAMESPACE, EVERYBODY]}},
        "config.trustedProxies",
    ),
    (
        {"ingress": {"enabled": True}, "networkPolicy": {"enabled": True, "ingressFrom": [ANYWHERE]}},
        "config.trustedProxies",
    ),
    ({"httpRoute": {"enabled": True, "parentRefs": [{"name": "traefik"}]}}, "config.trustedProxies"),
    ({"redis": {"resources": {"limits": {"memory": "1e9"}}}}, "memory"),
    ({"redis": {"resources": {"limits": {"memory": "1G"}}}}, "redis.maxmemory"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "key"), WRONG, ids=[json.dumps(values) for values, _ in WRONG])
def test_wrong_values_are_refused_with_the_name_of_the_key(charts: Charts, values: dict[str, Any], key: str) -> None:
    with pytest.raises(AssertionError) as refusal:
        charts.render("wrong", values)
    assert key in str(refusal.value)


@pytest.mark.parametrize(
    ("limit", "size"),
    [
        ("64Mi", 64 * 2**20), ("160Mi", 160 * 2**20), ("0.5Gi", 2**29), ("300M", 300_000_000),
        (300_000_000, 300_000_000), ("4Ti", 2**42), (None, None),
    ],
)  # fmt: skip
def test_an_autoscaler_has_to_help_before_a_replica_refuses_connections(
    charts: Charts, monkeypatch: pytest.MonkeyPatch, limit: str | int | None, size: int | None
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    cap = find_caps(Settings(_env_file=None), size).connections

    def scaled(target: int) -> dict[str, Any]:
        connections = {"enabled": True, "target": target}
        return {
            "autoscaling": {"enabled": True, "connections": connections},
            "resources": {"limits": {"memory": limit}},
        }

    charts.render("below", scaled(cap - 1))
    with pytest.raises(AssertionError, match=f"autoscaling.connections.target is {cap}, .* only {cap} connections"):
        charts.render("at", scaled(cap))


SILENTLY_NOT_STICKY: list[tuple[dict[str, Any], str]] = [
    ({"ingress": {"stickiness": {"sameSite": "none"}}}, "ingress.stickiness.secure"),
    ({"service": {"annotations": {"traefik.ingress.kubernetes.io/service.nativelb": "true"}}}, "nativelb"),
    ({"service": {"annotations": {"traefik.ingress.kubernetes.io/service.sticky.cookie": "false"}}}, "sticky.cookie"),
    (
        {"ingress": {"controller": "nginx", "annotations": {"nginx.ingress.kubernetes.io/service-upstream": "true"}}},
        "service-upstream",
    ),
    (
        {"ingress": {"controller": "nginx", "annotations": {"nginx.ingress.kubernetes.io/affinity": "ip"}}},
        "ingress.controller=none",
    ),
    (
        {
            "ingress": {
                "controller": "nginx",
                "affinity": "session",
                "annotations": {"nginx.ingress.kubernetes.io/configuration-snippet": "set $a b;"},
            }
        },
        "ingress.controller=none",
    ),
    (
        {
            "ingress": {"controller": "haproxy", "affinity": "session"},
            "service": {"annotations": {"haproxy.org/backend-config-snippet": "balance first"}},
        },
        "ingress.controller=none",
    ),
    (
        {
            "ingress": {
                "controller": "haproxy",
                "affinity": "session",
                "stickiness": {"enabled": False, "sameSite": "none"},
            }
        },
        "ingress.stickiness.secure",
    ),
    (
        {
            "ingress": {
                "controller": "haproxy-ingress",
                "annotations": {"haproxy-ingress.github.io/service-upstream": "true"},
            }
        },
        "service-upstream",
    ),
]


@pytest.mark.parametrize(("values", "said"), SILENTLY_NOT_STICKY)
def test_what_would_silently_switch_stickiness_off_is_refused(
    charts: Charts, values: dict[str, Any], said: str
) -> None:
    ingress = {"enabled": True, **values.get("ingress", {})}
    with pytest.raises(AssertionError) as refusal:
        charts.render("not-sticky", {**values, "ingress": ingress})
    assert said in str(refusal.value)
