from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from app.redis_client.url import Address, parse_url
from tests.harness.redis import Certificates


def test_a_plain_url_names_host_port_login_and_database() -> None:
    parsed = parse_url("redis://app:p%40ss@redis.example:6380/3")
    assert (parsed.kind, parsed.addresses) == ("standalone", (Address("redis.example", 6380),))
    assert (parsed.login.username, parsed.login.password, parsed.login.db) == ("app", "p@ss", 3)
    assert parsed.login.tls is None


def test_port_login_and_database_may_be_left_out() -> None:
    parsed = parse_url("redis://localhost")
    assert parsed.addresses == (Address("localhost", 6379),)
    assert (parsed.login.username, parsed.login.password, parsed.login.db) == (None, None, 0)


@pytest.mark.parametrize("password", ["a/b", "a#b", "a:b", "a@b", "a+b"])
def test_a_password_may_hold_characters_that_urls_reserve(password: str) -> None:
    """Generated ones do. redis-py's ``parse_url`` refuses the first two, and shows a part of them."""
    parsed = parse_url(f"redis://app:{password}@host:1/2")
    assert (parsed.addresses, parsed.login.password, parsed.login.db) == ((Address("host", 1),), password, 2)


def test_several_hosts_are_servers_of_which_one_is_the_primary() -> None:
    parsed = parse_url("rediss://app:secret@one:6380,two/1")
    assert (parsed.kind, parsed.addresses) == ("replicated", (Address("one", 6380), Address("two", 6379)))
    assert parsed.login.db == 1


def test_a_password_needs_no_user() -> None:
    login = parse_url("redis://:secret@localhost").login
    assert (login.username, login.password) == (None, "secret")


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert parse_url("redis://[::1]:7000").addresses == (Address("::1", 7000),)
    assert parse_url("redis://[::1]").addresses == (Address("::1", 6379),)


def test_a_unix_socket_has_a_path_and_a_database_option() -> None:
    parsed = parse_url("unix://app:secret@/run/my%20redis.sock?db=2")
    assert parsed.addresses == (Address("/run/my redis.sock", 0),)
    assert (parsed.login.username, parsed.login.password, parsed.login.db) == ("app", "secret", 2)


def test_a_sentinel_url_names_sentinels_service_and_both_logins() -> None:
    parsed = parse_url("redis+sentinel://app:one@s1:1,s2/5/main?sentinel_username=watch&sentinel_password=two%26")
    assert (parsed.kind, parsed.service) == ("sentinel", "main")
    assert parsed.addresses == (Address("s1", 1), Address("s2", 26379))
    assert (parsed.login.username, parsed.login.password, parsed.login.db) == ("app", "one", 5)
    assert (parsed.sentinel_login.username, parsed.sentinel_login.password) == ("watch", "two&")
    assert parse_url("redis+sentinel://s1/main").login.db == 0


def test_a_cluster_url_names_nodes() -> None:
    parsed = parse_url("redis+cluster://:secret@n1:1,n2:2")
    assert (parsed.kind, parsed.addresses) == ("cluster", (Address("n1", 1), Address("n2", 2)))


def test_tls_is_strict_unless_told_otherwise(tmp_path: Path) -> None:
    ca = Certificates.create(tmp_path).ca
    for scheme, rest in (("rediss", ""), ("rediss+cluster", ""), ("rediss+sentinel", "/main")):
        strict = parse_url(f"{scheme}://host{rest}?ssl_ca_certs={ca}").login.tls
        assert strict is not None
        assert (strict.check_hostname, strict.verify_mode) == (True, ssl.CERT_REQUIRED)
    lenient = parse_url("rediss://host?ssl_cert_reqs=none").login.tls
    assert lenient is not None
    assert (lenient.check_hostname, lenient.verify_mode) == (False, ssl.CERT_NONE)
    any_name = parse_url("rediss://host?ssl_check_hostname=false").login.tls
    assert any_name is not None
    assert (any_name.check_hostname, any_name.verify_mode) == (False, ssl.CERT_REQUIRED)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "must begin with"),
        ("localhost:6379", "must begin with"),
        ("http://user:hunter2@host", "must begin with"),
        ("redis://user:hunter2@host:none", "a host of the Redis URL must be"),
        ("redis://user:hunter2@host:0", "a host of the Redis URL must be"),
        ("redis://user:hunter2@host:65536", "a host of the Redis URL must be"),
        ("redis://user:hunter2@", "a host of the Redis URL must be"),
        ("redis://user:hunter2@host/many", "must be a number"),
        ("redis://user:hunter2@host/²", "must be a number"),
        ("redis://hunter2@host", "an @ but no password"),
        ("redis://user:hunter2@host?password=hunter2", "unknown option in the Redis URL: password"),
        ("redis://user:hunter2@host?ssl_ca_certs=/x", "unknown option in the Redis URL: ssl_ca_certs"),
        ("unix://run/redis.sock", "absolute path"),
        ("redis+sentinel://user:hunter2@host", "must end with the name of the service"),
        ("redis+cluster://user:hunter2@host/1", "database 0 only"),
        ("rediss://user:hunter2@host?ssl_ca_certs=/does/not/exist", "TLS files named in the Redis URL cannot be used"),
        ("rediss://user:hunter2@host?ssl_cert_reqs=maybe", "ssl_cert_reqs"),
        ("rediss://user:hunter2@host?ssl_check_hostname=maybe", "ssl_check_hostname"),
    ],
)
def test_a_bad_url_is_explained_without_its_credentials(url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as refusal:
        parse_url(url)
    assert "hunter2" not in str(refusal.value)


def test_credentials_are_not_shown_when_printed() -> None:
    assert "secret" not in repr(parse_url("redis+sentinel://app:secret@s1/main?sentinel_password=secret"))
