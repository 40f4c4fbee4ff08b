"""Names of objects, for every name that a release may have: unique, not too long, and text where YAML sees a number."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.conftest import Charts
from tests.packaging.tools import documents, helm, run, tool

pytestmark = pytest.mark.timeout(300)

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
# So that suffixes and the hashes of pods fit; a release's name may have 53.
LONGEST = 52

RELEASES = ["join-session", "movies", "my-redis", "join-session-redis", "redis-join-session-2", "yes", "a.b", "123"]
RELEASES += ["r" * length for length in (39, 40, 46, 50, 51, 52, 53)]


def names_of_version_0_1_0(release: str) -> tuple[str, str]:
    """Of the service and of its Redis."""

    def name(chart: str) -> str:
        return (release if chart in release else f"{release}-{chart}")[:LONGEST].rstrip("-")

    return name("join-session"), name("redis")


def names(items: list[dict[str, Any]]) -> tuple[str, str]:
    [service] = [item["metadata"]["name"] for item in items if item["kind"] == "Deployment"]
    [redis] = [item["metadata"]["name"] for item in items if item["kind"] == "StatefulSet"]
    return service, redis


def rendered(charts: Charts, release: str, *options: str) -> str:
    return run(helm(), "template", release, charts.path, "-f", charts.values("monitoring"), *options)


@pytest.mark.parametrize("release", RELEASES)
def test_names_are_valid_unique_and_as_before_where_those_were(charts: Charts, release: str) -> None:
    items = documents(rendered(charts, release))
    keys = [(item["apiVersion"], item["kind"], item["metadata"]["name"]) for item in items]
    assert len(set(keys)) == len(keys)
    assert all(LABEL.fullmatch(name) and len(name) <= 63 for _, _, name in keys)
    service, redis = names(items)
    assert max(len(service), len(redis)) <= LONGEST
    before = names_of_version_0_1_0(release)
    if before[0] != before[1] and not re.search(r"^[0-9]+$|\.", release):
        assert (service, redis) == before
    else:
        assert service.endswith("-join-session")
        assert redis == before[1] or redis.endswith("-redis")


def test_releases_whose_long_names_differ_at_the_end_have_different_names(charts: Charts) -> None:
    one, other = (names(documents(rendered(charts, "r" * 52 + end))) for end in "12")
    assert one[0] != other[0]


def test_without_its_redis_a_release_keeps_its_name(charts: Charts) -> None:
    options = ("--set", "redis.enabled=false,externalRedis.url=redis://elsewhere,externalRedis.keyPrefix=js")
    [service] = [
        item["metadata"]["name"]
        for item in documents(rendered(charts, "join-session-redis", *options))
        if item["kind"] == "Deployment"
    ]
    assert service == "join-session-redis"


def test_numbers_and_words_of_yaml_are_text(charts: Charts, tmp_path: Path) -> None:
    values = {
        "fullnameOverride": "123", "nameOverride": "true", "priorityClassName": "1", "runtimeClassName": "2",
        "secrets.existingSecret": "3", "secrets.existingSecretKeys.secret": "4", "serviceAccount.name": "5",
        "ingress.enabled": None, "ingress.className": "6", "image.repository": "1", "image.tag": "30",
        "redis.fullnameOverride": "456", "redis.nameOverride": "null", "redis.auth.existingSecret": "7",
        "redis.persistence.storageClass": "8", "global.imagePullSecrets[0]": "9",
    }  # fmt: skip
    options = [part for name, value in values.items() if value for part in ("--set-string", f"{name}={value}")]
    options += ["--set", "ingress.enabled=true,config.trustedProxies={10.0.0.0/8}", "--namespace", "789"]
    path = tmp_path / "numbers.yaml"
    path.write_text(rendered(charts, "true", *options))
    run(tool("kubernetes-validate"), "--strict", "-k", "1.37.0", path)
    for item in documents(path.read_text()):
        assert item["metadata"]["namespace"] == "789"
        assert all(isinstance(value, str) for value in item["metadata"]["labels"].values())
