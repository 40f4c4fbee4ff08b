"""The charts as Helm renders them: for every values file of ci/, and for values that must be refused."""

from __future__ import annotations

import base64
import json
import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from app.settings import PREFIX, Settings, load_settings
from tests.packaging.conftest import NAMESPACE, RELEASE, SCENARIOS, Charts, Rendering
from tests.packaging.generate import CHARTS, generated
from tests.packaging.tools import HELMS, ROOT, helm, run, tool

# Each test runs many programs, and the machine may be busy.
pytestmark = pytest.mark.timeout(300)

RESOURCES = Path(__file__).parent / "resources"
CUSTOM = {"HTTPRoute", "ServiceMonitor", "PodMonitor", "PrometheusRule", "ScaledObject"}
KUBERNETES = ("1.29.1", "1.37.0")

# Checkov's checks that fail, and why: the first also in `hardened`.
HARDENED_SKIPS = {"CKV_K8S_11": "no CPU limit: a throttled replica slows all its clients while the node idles"}
OTHER_SKIPS = {
    "CKV_K8S_15": "pull always: right where there is a digest, and a cluster without registry could not start",
    "CKV_K8S_43": "images by digest: those of `hardened` are, others by tag",
    "CKV_K8S_35": "secrets as files: OpenTelemetry reads its headers from the environment only",
}


@pytest.mark.parametrize("name", HELMS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_helm_accepts_each_values_file_and_renders_it_alike_twice(charts: Charts, scenario: str, name: str) -> None:
    program, values = helm(name), charts.values(scenario)
    run(program, "lint", "--strict", charts.path, "-f", values)
    first = charts.template(values, program=program)
    if scenario != "minimal-kind":
        assert first == charts.template(values, program=program)


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_field(renderings: dict[str, Rendering], tmp_path: Path, version: str) -> None:
    # Most objects are the same in many scenarios.
    distinct = {json.dumps(item) for rendering in renderings.values() for item in rendering.objects.values()}
    path = tmp_path / "distinct.yaml"
    path.write_text("\n---\n".join(sorted(distinct)))
    run(tool("kubernetes-validate"), "--strict", "-k", version, path)


def test_custom_resources_have_only_fields_of_their_definitions(
    renderings: dict[str, Rendering], tmp_path: Path
) -> None:
    for kind in CUSTOM:
        files = []
        for scenario, rendering in renderings.items():
            for name, item in rendering.objects.items():
                if item["kind"] == kind:
                    files.append(tmp_path / f"{scenario}-{name.replace('/', '-')}.json")
                    files[-1].write_text(json.dumps(item))
        assert files, kind
        run(tool("check-jsonschema"), "--schemafile", RESOURCES / f"{kind.lower()}.json", *files)


def test_every_pod_is_restricted_as_the_pod_security_standard_says(renderings: dict[str, Rendering]) -> None:
    pods = 0
    for rendering in renderings.values():
        for item in rendering.objects.values():
            pod = item["spec"] if item["kind"] == "Pod" else item.get("spec", {}).get("template", {}).get("spec")
            if not isinstance(pod, dict):
                continue
            pods += 1
            assert pod["automountServiceAccountToken"] is False
            assert pod["enableServiceLinks"] is False
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
            assert all(volume.keys() & {"configMap", "secret", "emptyDir", "projected"} for volume in pod["volumes"])
            for container in pod["containers"] + pod.get("initContainers", []):
                context = container["securityContext"]
                assert context["runAsNonRoot"] is True
                assert context["runAsUser"] >= 10_000
                assert context["allowPrivilegeEscalation"] is False
                assert context["readOnlyRootFilesystem"] is True
                assert context["capabilities"] == {"drop": ["ALL"]}
                assert context["seccompProfile"] == {"type": "RuntimeDefault"}
                assert container["resources"]["requests"].keys() == {"cpu", "memory"}
                assert "memory" in container["resources"]["limits"]
    assert pods >= 3 * len(SCENARIOS) - 2


def test_checkov_finds_nothing_but_what_is_named(charts: Charts, tmp_path: Path) -> None:
    for scenario in SCENARIOS:
        # Without the pod of `helm test`: one that runs once needs no probes.
        (tmp_path / f"{scenario}.yaml").write_text(charts.template(charts.values(scenario), "--skip-tests"))
    findings = _checkov(*tmp_path.iterdir())
    assert findings.pop("hardened") <= HARDENED_SKIPS.keys()
    for scenario, failed in findings.items():
        assert failed <= HARDENED_SKIPS.keys() | OTHER_SKIPS.keys(), scenario


def _checkov(*files: Path) -> dict[str, set[str]]:
    """The checks that failed, by the file's name."""
    options = [
        "--framework",
        "kubernetes",
        "--output",
        "json",
        "--quiet",
        "--compact",
        "--skip-download",
        "--soft-fail",
    ]
    said = run(tool("python"), tool("checkov"), *options, *(part for file in files for part in ("-f", str(file))))
    reports = json.loads(said)
    found: dict[str, set[str]] = {file.stem: set() for file in files}
    for check in reports["results"]["failed_checks"]:
        found[Path(check["file_path"]).stem].add(check["check_id"])
    return found


def test_generated_files_are_those_in_the_repository() -> None:
    for path, text in generated().items():
        assert path.read_text() == text, f"{path}: run `python -m tests.packaging.generate`"


def test_the_comparison_has_lines_for_each_row() -> None:
    rows = [line for line in (ROOT / "docs" / "chart-comparison.md").read_text().splitlines() if line[2:3].isdigit()]
    assert len(rows) == 45
    assert all(re.search(r"\[(\S+):(\d+)\]\(\.\./\1#L\2\)", row) for row in rows)


def test_settings_of_each_values_file_are_settings_of_the_service(
    renderings: dict[str, Rendering], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for rendering in renderings.values():
        with monkeypatch.context() as context:
            for name, value in rendering.settings.items():
                if name.endswith("_FILE"):
                    value = str(tmp_path / name)
                    Path(value).write_text("redis://long-enough-for-any-of-the-secrets")
                context.setenv(name, value)
            load_settings(tmp_path / "no.env")


# By the chart itself, by other values of it, or from its secrets.
GIVEN_OTHERWISE: Final = {
    "host", "port", "internalHost", "internalPort", "replicaAddress", "replicasName", "affinityCookie",
    "affinityBucketCookie", "affinityBucketSecure", "affinityBucketSameSite",
    "drainTimeout", "keyPrefix", "redisUrl", "redisUrlFile", "secret", "secretFile", "createKey", "createKeyFile",
    "operatorToken",
    "operatorTokenFile", "webhookSecret", "webhookSecretFile",
}  # fmt: skip


def test_the_readme_shows_the_defaults_of_objects_and_lists() -> None:
    readme = (CHARTS / "join-session" / "README.md").read_text()
    for name, default in {
        "strategy": '{"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}',
        "ingress.paths": '[{"path": "/", "pathType": "Prefix"}]',
        "otel.resourceAttributes": "{}",
    }.items():
        [row] = re.findall(rf"^\| `{re.escape(name)}` .*", readme, re.MULTILINE)
        assert row.rstrip("| ").endswith(f"`{default}`")


def test_every_setting_can_be_given_and_keeps_its_value(charts: Charts, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {
        "capacity": 7, "maxCapacity": 1_000_000, "grace": 0.5, "demo": True, "codeAlphabet": "letters",
        "unlimitedAddresses": ["10.1.0.0/16", "::1/128"], "logLevels": {"app.store": "debug", "uvicorn": "error"},
    }  # fmt: skip
    rendering = charts.render("every-setting", {"config": given})
    for name, value in rendering.settings.items():
        if not name.endswith("_FILE"):
            monkeypatch.setenv(name, value)
    settings = load_settings(Path("no.env"))
    assert (settings.capacity, settings.max_capacity, settings.grace, settings.demo) == (7, 1_000_000, 0.5, True)
    assert [str(network) for network in settings.unlimited_addresses] == given["unlimitedAddresses"]
    assert settings.log_levels == given["logLevels"]
    assert settings.drain_timeout == 25
    schema = json.loads((charts.path / "values.schema.json").read_text())["properties"]["config"]["properties"]
    names = {
        "".join([first, *map(str.capitalize, rest)])
        for first, *rest in (name.split("_") for name in Settings.model_fields)
    }
    assert names - schema.keys() == GIVEN_OTHERWISE
    assert PREFIX == "JOIN_SESSION_"


def test_replicas_go_one_by_one_and_have_time_to_send_their_clients_away(renderings: dict[str, Rendering]) -> None:
    for rendering in renderings.values():
        deployment = rendering["Deployment/join-session"]["spec"]
        assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
        pause = rendering.container["lifecycle"]["preStop"]["sleep"]["seconds"]
        drain = float(rendering.settings["JOIN_SESSION_DRAIN_TIMEOUT"])
        assert rendering.pod["terminationGracePeriodSeconds"] >= pause + drain + 10
        probes = {name: rendering.container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
        assert {probe["port"] for probe in probes.values()} == {"internal"}
        assert [probe["path"] for probe in probes.values()] == ["/readyz", "/readyz", "/healthz"]


def test_ha_scales_on_connections_slowly_down_and_lets_nodes_be_drained(renderings: dict[str, Rendering]) -> None:
    ha = renderings["ha"]
    assert "replicas" not in ha["Deployment/join-session"]["spec"]
    scaler = ha["HorizontalPodAutoscaler/join-session"]["spec"]
    assert [metric["type"] for metric in scaler["metrics"]] == ["Pods", "Resource", "Resource"]
    assert scaler["metrics"][0]["pods"]["target"] == {"type": "AverageValue", "averageValue": "1500"}
    assert scaler["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 900
    budget = ha["PodDisruptionBudget/join-session"]["spec"]
    assert budget["minAvailable"] == "50%"
    assert "maxUnavailable" not in budget
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    spread = ha.pod["topologySpreadConstraints"]
    assert [item["topologyKey"] for item in spread] == ["kubernetes.io/hostname"]


def test_a_single_replica_has_no_budget_that_would_block_a_drain(charts: Charts) -> None:
    assert "PodDisruptionBudget" not in charts.render("single", {"replicaCount": 1}).kinds()
    assert "PodDisruptionBudget" in charts.render("two", {"replicaCount": 2}).kinds()


def test_hardened_closes_the_network_and_has_every_secret_as_a_file(renderings: dict[str, Rendering]) -> None:
    hardened = renderings["hardened"]
    assert "Secret" not in hardened.kinds()
    files = {name: value for name, value in hardened.settings.items() if name.endswith("_FILE")}
    assert files.keys() == {f"{PREFIX}{name}_FILE" for name in ("REDIS_URL", "SECRET", "CREATE_KEY", "OPERATOR_TOKEN")}
    assert hardened.container["image"].startswith("registry.example/join-session@sha256:")
    policy = hardened["NetworkPolicy/join-session"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    public, internal = policy["ingress"]
    assert (public["ports"][0]["port"], internal["ports"][0]["port"]) == ("http", "internal")
    replicas = hardened["Deployment/join-session"]["spec"]["selector"]["matchLabels"]
    assert {"podSelector": {"matchLabels": replicas}} in internal["from"]
    # The pod of `helm test` is let in, and Redis knows its clients by their label.
    assert (
        public["from"][-1]["podSelector"]["matchLabels"].items() <= _labels(hardened["Pod/join-session-test"]).items()
    )
    redis = hardened["NetworkPolicy/join-session-redis"]["spec"]
    client = redis["ingress"][0]["from"][0]["podSelector"]["matchLabels"]
    assert client.items() <= _labels(hardened["Deployment/join-session"]["spec"]["template"]).items()
    assert redis["egress"] == []


def test_forwarded_addresses_are_believed_only_of_those_who_are_named(renderings: dict[str, Rendering]) -> None:
    trusted = {name: rendering.settings.get("JOIN_SESSION_TRUSTED_PROXIES") for name, rendering in renderings.items()}
    private = "10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fc00::/7"
    named = "10.244.0.0/16"
    assert {name: networks for name, networks in trusted.items() if networks} == {
        **dict.fromkeys(("gateway", "haproxy", "hardened", "traefik"), private),
        **dict.fromkeys(("haproxy-ingress", "nginx", "websocket-only"), named),
    }


def test_no_service_selects_the_pod_of_the_test(renderings: dict[str, Rendering]) -> None:
    for rendering in renderings.values():
        labels = _labels(rendering["Pod/join-session-test"])
        for item in rendering.objects.values():
            if item["kind"] == "Service":
                assert not item["spec"]["selector"].items() <= labels.items()


def test_no_ingress_or_route_leads_to_the_internal_port(renderings: dict[str, Rendering]) -> None:
    for rendering in renderings.values():
        service = rendering["Service/join-session"]["spec"]
        assert [port["targetPort"] for port in service["ports"]] == ["http"]
        for item in rendering.objects.values():
            if item["kind"] in ("Ingress", "HTTPRoute"):
                assert "internal" not in json.dumps(item["spec"])


STICKY = {
    "traefik": ("Service", "traefik.ingress.kubernetes.io/service.sticky.cookie.name"),
    "nginx": ("Ingress", "nginx.ingress.kubernetes.io/session-cookie-name"),
    "haproxy": ("Service", "haproxy.org/cookie-persistence"),
    "haproxy-ingress": ("Ingress", "haproxy-ingress.github.io/session-cookie-name"),
}
SILENCE = {
    "nginx": ("nginx.ingress.kubernetes.io/proxy-read-timeout", "3600"),
    "haproxy": ("haproxy.org/timeout-tunnel", "3600s"),
    "haproxy-ingress": ("haproxy-ingress.github.io/timeout-tunnel", "3600s"),
}


@pytest.mark.parametrize("controller", STICKY)
def test_each_preset_says_stickiness_where_its_controller_reads_it(
    renderings: dict[str, Rendering], controller: str
) -> None:
    rendering = renderings[controller]
    kind, annotation = STICKY[controller]
    assert rendering[f"{kind}/join-session"]["metadata"]["annotations"][annotation] == "join-session-replica"
    assert rendering.settings["JOIN_SESSION_AFFINITY_COOKIE"] == "join-session-replica"
    if controller in SILENCE:
        name, value = SILENCE[controller]
        assert rendering["Ingress/join-session"]["metadata"]["annotations"][name] == value


def test_traefik_gets_the_whole_cookie(renderings: dict[str, Rendering]) -> None:
    prefix = "traefik.ingress.kubernetes.io/service.sticky.cookie"
    assert renderings["traefik"]["Service/join-session"]["metadata"]["annotations"] == {
        prefix: "true", f"{prefix}.name": "join-session-replica", f"{prefix}.httponly": "true",
        f"{prefix}.path": "/", f"{prefix}.samesite": "lax", f"{prefix}.secure": "false",
    }  # fmt: skip


def test_the_ingress_can_leave_other_paths_of_its_host_to_a_front_end(renderings: dict[str, Rendering]) -> None:
    (rule,) = renderings["traefik"]["Ingress/join-session"]["spec"]["rules"]
    assert rule["host"] == "movies.example"
    assert [path["path"] for path in rule["http"]["paths"]] == ["/api/session", "/socket.io"]


def test_websocket_only_configures_no_stickiness(renderings: dict[str, Rendering]) -> None:
    rendering = renderings["websocket-only"]
    assert "annotations" not in rendering["Service/join-session"]["metadata"]
    assert "JOIN_SESSION_AFFINITY_COOKIE" not in rendering.settings


def test_a_gateway_gets_one_route_with_both_paths(renderings: dict[str, Rendering]) -> None:
    spec = renderings["gateway"]["HTTPRoute/join-session"]["spec"]
    assert spec["parentRefs"] == [{"name": "traefik", "namespace": "traefik"}]
    assert [match["path"]["value"] for match in spec["rules"][0]["matches"]] == ["/api/session", "/socket.io"]
    assert spec["rules"][0]["backendRefs"] == [{"name": "join-session", "port": 80}]


def test_an_external_redis_replaces_the_one_of_the_chart(renderings: dict[str, Rendering]) -> None:
    external = renderings["external-redis"]
    assert "StatefulSet" not in external.kinds()
    assert _redis_secret(external) == ("managed-redis", "url")
    assert {"name": "redis-tls", "secret": {"secretName": "managed-redis-ca"}} in external.pod["volumes"]
    sentinel = renderings["sentinel"]
    assert _redis_secret(sentinel) == ("join-session", "redis-url")
    assert "StatefulSet" not in sentinel.kinds()


def test_while_sessions_move_the_charts_redis_stays_and_replicas_know_both(charts: Charts) -> None:
    url = "redis://:hush@join-session-redis:6379,elsewhere:6379/0"
    moving = charts.render("moving", {"externalRedis": {"url": url, "moving": True, "keyPrefix": "js"}}, "default")
    assert moving["StatefulSet/join-session-redis"]["spec"]["replicas"] == 1
    secret = moving["Secret/join-session"]
    assert base64.b64decode(secret["data"]["redis-url"]).decode() == url


def test_names_in_redis_begin_as_chosen_for_an_external_one_and_as_ever_in_that_of_the_chart(
    charts: Charts, renderings: dict[str, Rendering]
) -> None:
    name = f"{PREFIX}KEY_PREFIX"
    assert renderings["external-redis"].settings[name] == "movies"
    assert name not in renderings["default"].settings
    with pytest.raises(AssertionError, match=f"externalRedis.keyPrefix is not set.* such as {NAMESPACE}-{RELEASE}"):
        charts.render("no-prefix", {"externalRedis": {"keyPrefix": ""}}, "external-redis")


def test_redis_shows_its_password_in_no_argument_and_no_variable(renderings: dict[str, Rendering]) -> None:
    for rendering in renderings.values():
        for item in rendering.objects.values():
            assert item["kind"] == "Secret" or "of-a-test" not in json.dumps(item)


def test_redis_keeps_its_data_and_never_evicts_a_session(renderings: dict[str, Rendering]) -> None:
    redis = renderings["default"]
    config = redis["ConfigMap/join-session-redis"]["data"]["redis.conf"].splitlines()
    assert {"appendonly yes", "appendfsync always", "maxmemory-policy noeviction", "maxmemory 153mb"} <= set(config)
    spec = redis["StatefulSet/join-session-redis"]["spec"]
    assert spec["replicas"] == 1
    assert [claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]] == ["data"]


def test_monitoring_scrapes_the_internal_port_once(renderings: dict[str, Rendering]) -> None:
    rendering = renderings["monitoring"]
    monitor = rendering["ServiceMonitor/join-session"]["spec"]
    assert monitor["endpoints"][0]["port"] == "internal"
    services = [item for item in rendering.objects.values() if item["kind"] == "Service"]
    wanted = monitor["selector"]["matchLabels"].items()
    assert [item["metadata"]["name"] for item in services if wanted <= _labels(item).items()] == [
        "join-session-internal"
    ]
    assert "k8s.pod.name=$(POD_NAME)" in rendering.settings["OTEL_RESOURCE_ATTRIBUTES"]
    names = [entry["name"] for entry in rendering.container["env"]]
    assert names.index("POD_NAME") < names.index("OTEL_RESOURCE_ATTRIBUTES")


def test_replicas_that_are_not_ready_are_scraped_too(renderings: dict[str, Rendering]) -> None:
    for rendering in renderings.values():
        assert rendering["Service/join-session-internal"]["spec"]["publishNotReadyAddresses"] is True
        assert "publishNotReadyAddresses" not in rendering["Service/join-session"]["spec"]


def test_alerts_are_about_the_pods_of_the_release(charts: Charts, renderings: dict[str, Rendering]) -> None:
    assert {"PrometheusRule", "ConfigMap/join-session-dashboard"}.isdisjoint(
        renderings["default"].kinds() | renderings["default"].objects.keys()
    )
    (group,) = renderings["monitoring"]["PrometheusRule/join-session"]["spec"]["groups"]
    expressions = {rule["alert"]: rule["expr"] for rule in group["rules"]}
    down = expressions["JoinSessionReplicaDown"]
    assert down == f'up{{namespace="{NAMESPACE}",pod=~"join-session-[0-9a-z]+-[0-9a-z]+"}} == 0'
    assert all(f'namespace="{NAMESPACE}"' in expression for expression in expressions.values())
    slower = charts.render("slower", {"drain": {"seconds": 60}, "terminationGracePeriodSeconds": 90}, "monitoring")
    (group,) = slower["PrometheusRule/join-session"]["spec"]["groups"]
    (stuck,) = [rule["expr"] for rule in group["rules"] if rule["alert"] == "JoinSessionDrainStuck"]
    assert stuck.endswith(" > 70")


def test_the_dashboard_is_where_a_sidecar_of_grafana_finds_it(renderings: dict[str, Rendering]) -> None:
    dashboard = renderings["monitoring"]["ConfigMap/join-session-dashboard"]
    assert _labels(dashboard)["grafana_dashboard"] == "1"
    assert dashboard["metadata"]["annotations"] == {"grafana_folder": "Movies"}
    panels = json.loads(dashboard["data"]["join-session.json"])["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 30


def test_another_password_replaces_the_replicas_and_leaves_redis_alone(charts: Charts) -> None:
    one, other = (charts.render(name, {"redis": {"auth": {"password": name}}}) for name in ("one", "other"))
    assert one["StatefulSet/join-session-redis"] == other["StatefulSet/join-session-redis"]
    assert one["Deployment/join-session"] != other["Deployment/join-session"]
    for rendering in (one, other):
        secrets = [rendering[f"Secret/join-session-redis{name}"]["data"]["redis-password"] for name in ("", "-new")]
        assert secrets[0] == secrets[1]


def test_the_jobs_of_the_password_are_no_servers_and_know_no_more_than_they_need(charts: Charts) -> None:
    selector = charts.render("jobs")["Service/join-session-redis"]["spec"]["selector"].items()
    for existing, new, old in (("", "join-session-redis-new", "join-session-redis"), ("login", "login", "login")):
        auth = {"existingSecret": existing, "password": "" if existing else "hush"}
        rendering = charts.render("jobs", {"redis": {"auth": auth}}, scenario="hardened")
        for job, hooks, secrets in (
            ("take-new", "pre-upgrade,pre-rollback", [new, "join-session-redis"]),
            ("drop-old", "post-upgrade,post-rollback", [old]),
        ):
            item = rendering[f"Job/join-session-redis-{job}"]
            assert item["metadata"]["annotations"]["helm.sh/hook"] == hooks
            pod = item["spec"]["template"]
            assert not selector <= pod["metadata"]["labels"].items()
            assert pod["metadata"]["labels"]["join-session-redis-client"] == "true"
            assert pod["spec"]["automountServiceAccountToken"] is False
            assert [volume["secret"]["secretName"] for volume in pod["spec"]["volumes"]] == secrets
    without = charts.render("jobs", {"redis": {"auth": {"rotate": False}}})
    assert "Job" not in without.kinds()


def test_recreate_is_a_strategy_without_the_defaults_of_rolling(charts: Charts) -> None:
    deployment = charts.render("recreate", {"strategy": {"type": "Recreate"}})["Deployment/join-session"]
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}


def test_a_budget_that_lets_nodes_be_drained_is_accepted(charts: Charts) -> None:
    more = {"replicaCount": 3, "podDisruptionBudget": {"maxUnavailable": None, "minAvailable": "66%"}}
    assert charts.render("budget", more)["PodDisruptionBudget/join-session"]["spec"]["minAvailable"] == "66%"


@pytest.mark.parametrize("secrets", [["login"], [{"name": "login"}]])
def test_pull_secrets_are_names_or_as_in_kubernetes(charts: Charts, secrets: list[Any]) -> None:
    rendering = charts.render("pull", {"global": {"imagePullSecrets": secrets}})
    redis = rendering["StatefulSet/join-session-redis"]["spec"]["template"]["spec"]
    pods = (rendering.pod, redis, rendering["Pod/join-session-test"]["spec"])
    assert [pod["imagePullSecrets"] for pod in pods] == [[{"name": "login"}]] * 3


def test_a_registry_may_have_a_port(charts: Charts) -> None:
    rendering = charts.render("port", {"image": {"repository": "localhost:5000/movies/join-session", "tag": "1"}})
    assert rendering.container["image"] == "localhost:5000/movies/join-session:1"


def test_what_a_pod_and_its_load_balancer_may_also_need_is_rendered(charts: Charts) -> None:
    given = {
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["redis.example"]}],
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["10.0.0.2"]},
    }
    start = {"postStart": {"exec": {"command": ["true"]}}}
    balancer = {"loadBalancerClass": "example.com/internal", "loadBalancerSourceRanges": ["192.0.2.0/24"]}
    rendering = charts.render("also", {**given, "lifecycle": start, "service": {"type": "LoadBalancer", **balancer}})
    assert given.items() <= rendering.pod.items()
    assert rendering.container["lifecycle"] == {**start, "preStop": {"sleep": {"seconds": 5}}}
    assert balancer.items() <= rendering["Service/join-session"]["spec"].items()
    stop = {"preStop": {"exec": {"command": ["sleep", "5"]}}}
    assert charts.render("stop", {"lifecycle": stop}).container["lifecycle"] == stop


@pytest.mark.parametrize("monitor", ["ServiceMonitor", "PodMonitor"])
def test_what_prometheus_takes_can_be_limited(charts: Charts, tmp_path: Path, monitor: str) -> None:
    values = {"enabled": True, "jobLabel": "team", "honorLabels": True}
    limits = {"sampleLimit": 5000, "labelLimit": 30, "bodySizeLimit": "4MB"}
    scenario = {monitor[0].lower() + monitor[1:]: {**values, "limits": limits}}
    item = charts.render(monitor, scenario)[f"{monitor}/join-session"]
    assert {"jobLabel": "team", **limits}.items() <= item["spec"].items()
    path = tmp_path / "monitor.json"
    path.write_text(json.dumps(item))
    run(tool("check-jsonschema"), "--schemafile", RESOURCES / f"{monitor.lower()}.json", path)


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [("http://collector:4318", 4318), ("http://collector/otlp", 80), ("https://[2001:db8::1]/", 443)],
)
def test_a_closed_network_lets_traces_out(charts: Charts, endpoint: str, port: int) -> None:
    collector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    egress = {"enabled": True, "tracesTo": [collector]}
    rendering = charts.render(
        "traces", {"otel": {"endpoint": endpoint}, "networkPolicy": {"enabled": True, "egress": egress}}
    )
    rules = rendering["NetworkPolicy/join-session"]["spec"]["egress"]
    assert {"ports": [{"port": port, "protocol": "TCP"}], "to": [collector]} in rules


def test_helm_test_can_go_through_the_ingress(charts: Charts, renderings: dict[str, Rendering]) -> None:
    def arguments(rendering: Rendering) -> list[str]:
        words: list[str] = rendering["Pod/join-session-test"]["spec"]["containers"][0]["args"]
        return words

    url = "http://traefik.traefik"
    assert arguments(renderings["traefik"]) == ["http://join-session:80"]
    assert arguments(charts.render("test-url", {"tests": {"url": url}}, "traefik")) == [url, "replica"]
    assert arguments(charts.render("test-route", {"tests": {"url": url}}, "gateway")) == [url]


def test_digest_global_registry_and_everything_extra_are_rendered(charts: Charts) -> None:
    rendering = charts.render(
        "extra",
        {
            "global": {"imageRegistry": "mirror.example", "imagePullSecrets": ["login"]},
            "image": {"digest": "sha256:" + "a" * 64},
            "extraEnv": [{"name": "WHERE", "value": "{{ .Release.Namespace }}"}],
            "extraVolumes": [{"name": "more", "emptyDir": {}}],
            "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
            "sidecars": [{"name": "beside", "image": "beside:1"}],
            "initContainers": [{"name": "before", "image": "before:1"}],
            "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-x"}}],
            "commonLabels": {"team": "movies"},
            "commonAnnotations": {"owner": "movies"},
        },
    )
    assert rendering.container["image"] == "mirror.example/join-session@sha256:" + "a" * 64
    redis = rendering["StatefulSet/join-session-redis"]["spec"]["template"]["spec"]
    assert redis["containers"][0]["image"] == "mirror.example/valkey/valkey:8.1"
    assert rendering.pod["imagePullSecrets"] == redis["imagePullSecrets"] == [{"name": "login"}]
    assert {"name": "WHERE", "value": NAMESPACE} in rendering.container["env"]
    assert [container["name"] for container in rendering.pod["containers"]] == ["join-session", "beside"]
    assert rendering.pod["initContainers"][0]["name"] == "before"
    assert "ConfigMap/join-session-x" in rendering.objects
    for name, item in rendering.objects.items():
        if "redis" not in name and name not in ("ConfigMap/join-session-x",):
            assert _labels(item)["team"] == "movies", name


def test_a_change_of_settings_or_secrets_rolls_the_pods(charts: Charts) -> None:
    def checksums(values: dict[str, Any]) -> dict[str, str]:
        rendering = charts.render("checksum", values)
        annotations: dict[str, str] = rendering["Deployment/join-session"]["spec"]["template"]["metadata"][
            "annotations"
        ]
        return annotations

    before = checksums({})
    assert checksums({"config": {"grace": 5}})["checksum/config"] != before["checksum/config"]
    assert checksums({"podAnnotations": {"secrets": "2"}})["secrets"] == "2"
    assert checksums({"secrets": {"secret": "x" * 32}})["checksum/secret"] != before["checksum/secret"]
    assert checksums({"redis": {"auth": {"password": "x"}}})["checksum/redis"] != before["checksum/redis"]


def test_notes_warn_of_what_is_not_for_production(charts: Charts) -> None:
    said = run(helm(), "install", RELEASE, charts.path, "--dry-run=client", "-f", charts.values("minimal-kind"))
    notes = said.partition("NOTES:")[2]
    for warning in ("all sessions are lost", "takes commands from anyone", "one replica"):
        assert warning in notes
    assert "kubectl port-forward service/join-session 8080:80" in notes
    assert "Image: join-session:dev\n" in notes


def test_notes_say_how_names_in_an_external_redis_begin(charts: Charts) -> None:
    said = run(helm(), "install", RELEASE, charts.path, "--dry-run=client", "-f", charts.values("external-redis"))
    assert "begin with movies: (externalRedis.keyPrefix)" in said


def test_notes_say_which_image_runs(charts: Charts) -> None:
    digest = "sha256:" + "a" * 64
    command = (helm(), "install", RELEASE, charts.path, "--dry-run=client", "-f", charts.values("minimal-kind"))
    assert f"Image: join-session@{digest}\n" in run(*command, "--set", f"image.tag=,image.digest={digest}")


def _labels(item: dict[str, Any]) -> dict[str, str]:
    labels: dict[str, str] = item["metadata"]["labels"]
    return labels


def _redis_secret(rendering: Rendering) -> tuple[str, str]:
    (volume,) = [volume for volume in rendering.pod["volumes"] if volume["name"] == "secrets"]
    source = volume["projected"]["sources"][0]["secret"]
    return source["name"], source["items"][0]["key"]


def test_the_chart_can_be_installed_as_the_readme_says(charts: Charts) -> None:
    command, _ = re.findall(r"^helm install (?:.*\\\n)*.*", (ROOT / "README.md").read_text(), re.MULTILINE)
    words = shlex.split(command.replace("\\\n", " ").replace("REGISTRY", "registry.example"))
    options = [word for flag, value in pairwise(words) if flag == "--set" for word in (flag, value)]
    assert "kind: Ingress\n" in charts.template(charts.values("default"), *options)
