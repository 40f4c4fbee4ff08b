"""The settings: what is accepted, what is refused, and with which words."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from app.secret_files import listed
from app.settings import PREFIX, SECRETS, Settings, SettingsError, load_settings
from app.settings_reference import reference

ROOT = Path(__file__).parent.parent
LONG = "redis://long-enough-for-any-of-the-secrets"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory without anybody's `.env`, and no variable that is for the tests only."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JOIN_SESSION_TEST_REDIS", raising=False)


def problems(monkeypatch: pytest.MonkeyPatch, **variables: str) -> list[str]:
    for name, value in variables.items():
        monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    return caught.value.problems


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = load_settings()
    assert settings.model_dump(include=set(CONTRACT)) == CONTRACT


CONTRACT = {
    "host": "0.0.0.0",
    "port": 8080,
    "internal_port": 9090,
    "redis_url": None,
    "secret": None,
    "lifetime": 7200,
    "min_lifetime": 60,
    "max_lifetime": 86400,
    "unjoined_lifetime": 1800,
    "expiry_warning": 60,
    "grace": 60,
    "lease": 15,
    "code_rest": 600,
    "code_length": 6,
    "code_alphabet": "digits",
    "capacity": 100,
    "max_capacity": 1000,
    "max_movies": 500,
    "ping_interval": 25,
    "ping_timeout": 20,
    "connect_timeout": 45,
    "miss_budget": 20,
    "unlimited_addresses": (),
    "trusted_proxies": (),
    "allowed_origins": (),
    "drain_timeout": 25,
}


def test_someone_has_a_quarter_of_an_hour_to_type_a_code() -> None:
    assert load_settings().join_deadline == 900


def test_every_setting_is_read_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOIN_SESSION_PORT", "8081")
    monkeypatch.setenv("JOIN_SESSION_GRACE", "0.25")
    monkeypatch.setenv("JOIN_SESSION_DEMO", "true")
    monkeypatch.setenv("JOIN_SESSION_TRUSTED_PROXIES", "10.0.0.0/8, ::1")
    monkeypatch.setenv("JOIN_SESSION_LOG_LEVELS", "app.store=DEBUG, uvicorn=error")
    settings = load_settings()
    assert (settings.port, settings.grace, settings.demo) == (8081, 0.25, True)
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    assert settings.log_levels == {"app.store": "debug", "uvicorn": "error"}


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOIN_SESSION_PORT", "")
    monkeypatch.setenv("JOIN_SESSION_REDIS_URL", "")
    settings = load_settings()
    assert (settings.port, settings.redis_url) == (8080, None)


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("JOIN_SESSION_PORT=8081\nJOIN_SESSION_CAPACITY=7\nPATH_OF_OTHERS=/x\n")
    monkeypatch.setenv("JOIN_SESSION_PORT", "8082")
    settings = load_settings()
    assert (settings.port, settings.capacity) == (8082, 7)


def test_names_in_the_file_are_checked_too(tmp_path: Path) -> None:
    (tmp_path / "service.env").write_text("JOIN_SESSION_CAPACTY=7\n")
    with pytest.raises(
        SettingsError, match="JOIN_SESSION_CAPACTY: no such setting; did you mean JOIN_SESSION_CAPACITY"
    ):
        load_settings(tmp_path / "service.env")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"\.env cannot be read: not UTF-8"):
        load_settings()


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_may_come_from_a_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "content").write_text(f" {LONG} \n")
    monkeypatch.setenv(f"{PREFIX}{name.upper()}_FILE", str(tmp_path / "content"))
    assert getattr(load_settings(), name) == SecretStr(LONG)


@pytest.mark.parametrize(("name", "least"), [("SECRET", 32), ("OPERATOR_TOKEN", 16)])
def test_a_secret_that_can_be_guessed_is_refused(
    name: str, least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = "s3cret" * 6
    reason = f"{PREFIX}{name}: must have at least {least} characters, as `openssl rand -hex 32` makes them"
    assert problems(monkeypatch, **{name: short[: least - 1]}) == [reason]
    (tmp_path / "content").write_text(f"{short[: least - 1]}\n")
    monkeypatch.delenv(f"{PREFIX}{name}")
    assert problems(monkeypatch, **{f"{name}_FILE": str(tmp_path / "content")}) == [reason]
    (tmp_path / "content").write_text(short[:least])
    assert getattr(load_settings(), name.lower()) == SecretStr(short[:least])


def test_a_list_of_secrets_is_separated_by_commas_or_line_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    both = f"{'new' * 12},\n {'old' * 12}\n"
    assert listed(both) == ("new" * 12, "old" * 12)
    monkeypatch.setenv("JOIN_SESSION_SECRET", both)
    assert load_settings().shown()["JOIN_SESSION_SECRET"] == "********"
    reason = "must have at least 32 characters, as `openssl rand -hex 32` makes them"
    assert problems(monkeypatch, SECRET=f"{'new' * 12},{'old' * 10}") == [f"JOIN_SESSION_SECRET: each {reason}"]
    assert problems(monkeypatch, SECRET=",") == [f"JOIN_SESSION_SECRET: {reason}"]
    many = ",".join(f"{number:032}" for number in range(9))
    assert problems(monkeypatch, SECRET=many) == ["JOIN_SESSION_SECRET: lists 9 secrets, more than 8"]


def test_a_secret_is_given_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "content").write_text("one")
    told = problems(monkeypatch, SECRET="other", SECRET_FILE=str(tmp_path / "content"))
    assert told == ["JOIN_SESSION_SECRET: given twice, as a value and as a file"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "content cannot be read: No such file or directory"),
        (b"\xff", "content cannot be read: not UTF-8"),
        (b" \n", "value should have at least 1 item after validation, not 0"),
    ],
)
def test_an_unusable_secret_file_is_refused(
    content: bytes | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        (tmp_path / "content").write_bytes(content)
    assert problems(monkeypatch, SECRET_FILE="content") == [f"JOIN_SESSION_SECRET: {reason}"]


def test_an_unknown_name_is_refused_with_the_nearest_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    told = problems(monkeypatch, PROT="1", XYZZY="1")
    assert told == [
        "JOIN_SESSION_PROT: no such setting; did you mean JOIN_SESSION_PORT?",
        "JOIN_SESSION_XYZZY: no such setting",
    ]


def test_what_kubernetes_sets_for_a_service_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    links = {
        "PORT": "tcp://10.96.0.7:80",
        "PORT_80_TCP": "tcp://10.96.0.7:80",
        "PORT_80_TCP_ADDR": "10.96.0.7",
        "PORT_80_TCP_PORT": "80",
        "PORT_80_TCP_PROTO": "tcp",
        "SERVICE_HOST": "10.96.0.7",
        "SERVICE_PORT": "80",
        "SERVICE_PORT_HTTP": "80",
        "INTERNAL_PORT": "tcp://10.96.0.8:9090",
        "REDIS_SERVICE_HOST": "10.96.0.9",
    }
    (told,) = problems(monkeypatch, **links)
    names, _, advice = told.partition(": ")
    assert names.split(", ") == sorted(PREFIX + name for name in links)
    assert "Kubernetes" in advice
    assert "enableServiceLinks: false" in advice


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("PORT", "http", "input should be a valid integer, unable to parse string as an integer, not 'http'"),
        ("PORT", "65536", "input should be less than or equal to 65535, not '65536'"),
        ("INTERNAL_PORT", "8080", "8080 is the public port, too; the internal one must not be reachable with it"),
        (
            "AFFINITY_BUCKET_SAME_SITE",
            "none",
            "browsers drop such a cookie without JOIN_SESSION_AFFINITY_BUCKET_SECURE=true",
        ),
        ("LIFETIME", "nan", "input should be a finite number, not 'nan'"),
        ("LIFETIME", "0", "input should be greater than 0, not '0'"),
        ("GRACE", "-1", "input should be greater than or equal to 0, not '-1'"),
        ("MIN_LIFETIME", "7201", "7201 is more than JOIN_SESSION_LIFETIME, 7200"),
        ("MAX_LIFETIME", "7199", "7199 is less than JOIN_SESSION_LIFETIME, 7200"),
        ("MAX_CAPACITY", "99", "99 is less than JOIN_SESSION_CAPACITY, 100"),
        ("MISS_BUDGET_TOTAL", "19", "19 is less than JOIN_SESSION_MISS_BUDGET, 20"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "10.0.0.1/8 has host bits set"),
        ("UNLIMITED_ADDRESSES", "::1,nowhere", "'nowhere' does not appear to be an IPv4 or IPv6 network"),
        ("ALLOWED_ORIGINS", "example.org", "example.org is not an origin such as https://example.org"),
        (
            "ALLOWED_ORIGINS",
            "https://a.example/app",
            "https://a.example/app is not an origin such as https://example.org",
        ),
        ("CODE_ALPHABET", "12é", "neither one of digits, letters nor ASCII letters and digits"),
        ("CODE_ALPHABET", "aA", "has the same character twice (capitals and small letters are the same to people)"),
        ("CODE_ALPHABET", "x", "leaves only 1 different session codes"),
        ("SECOND_CONNECTION", "maybe", "input should be 'allow', 'newest' or 'reject', not 'maybe'"),
        ("LOG_LEVELS", "app=loud", "input should be 'debug', 'info', 'warning', 'error' or 'critical', not 'loud'"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(
    name: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (told,) = problems(monkeypatch, **{name: value})
    assert told.partition(": ")[2] == reason


def test_all_problems_are_told_at_once_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    told = problems(monkeypatch, PROT="1", PORT="x", LIFETIME="x", SECRET="s3cret", SECRET_FILE="/nowhere")
    assert [line.partition(":")[0] for line in told] == [
        "JOIN_SESSION_PROT",
        "JOIN_SESSION_PORT",
        "JOIN_SESSION_SECRET",
        "JOIN_SESSION_LIFETIME",
    ]
    assert "s3cret" not in "".join(told)


def test_two_cookies_have_two_names(monkeypatch: pytest.MonkeyPatch) -> None:
    (told,) = problems(monkeypatch, AFFINITY_COOKIE="route", AFFINITY_BUCKET_COOKIE="route")
    assert "route is JOIN_SESSION_AFFINITY_COOKIE, too" in told


def test_origins_are_kept_as_browsers_write_them() -> None:
    settings = Settings(allowed_origins=("HTTPS://App.Example:443/", "http://localhost:3000", "http://[::1]:80", "*"))
    assert settings.allowed_origins == ("https://app.example", "http://localhost:3000", "http://[::1]", "*")


@pytest.mark.parametrize(
    ("alphabet", "characters"),
    [("digits", "0123456789"), ("letters", "23456789CFGHJMPQRVWX"), ("ABC234", "ABC234")],
)
def test_the_alphabet_is_named_or_given(alphabet: str, characters: str) -> None:
    assert Settings(code_alphabet=alphabet).code_characters == characters


def test_secrets_are_never_shown() -> None:
    url = "redis+sentinel://user:pa@ss@h:1/0/main?sentinel_password=hush&ssl_cert_reqs=none"
    settings = Settings(secret=SecretStr(f"s3cret{LONG}"), redis_url=SecretStr(url))
    shown = settings.shown()
    assert shown["JOIN_SESSION_SECRET"] == "********"
    assert shown["JOIN_SESSION_REDIS_URL"] == (
        "redis+sentinel://********@h:1/0/main?sentinel_password=********&ssl_cert_reqs=none"
    )
    assert not [word for word in ("s3cret", "hush", "pa@ss") if word in f"{shown}{settings!r}{settings}"]


def test_what_is_shown_can_be_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = Settings(
        port=1,
        grace=0.5,
        trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("::1")),
        log_levels={"app": "debug"},
    )
    for name, value in chosen.shown().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == chosen


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]


def test_the_reference_is_true() -> None:
    """After a change: `join-session check-config --reference > docs/configuration.md`."""
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == reference()


WEBHOOK = {"WEBHOOK_URL": "https://example.org/hook", "WEBHOOK_SECRET": "s" * 32}


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"WEBHOOK_URL": "http://example.org"}, "JOIN_SESSION_WEBHOOK_ALLOW_HTTP=true"),
        ({"WEBHOOK_URL": "ftp://example.org"}, "not a URL such as"),
        ({"WEBHOOK_URL": "https://user:pw@example.org"}, "without a user"),
        ({"WEBHOOK_URL": "https://example.org/a b"}, "a character"),
        ({"WEBHOOK_URL": "https://example.org:0/"}, "port"),
        ({"WEBHOOK_SECRET": ""}, "needs JOIN_SESSION_WEBHOOK_SECRET"),
        ({"WEBHOOK_SECRET": "s" * 31}, "at least 32 characters"),
        ({"WEBHOOK_SECRET": "whsec_" + "?" * 32}, "not base64"),
    ],
)
def test_a_receiver_of_webhooks_has_a_safe_url_and_a_secret(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], problem: str
) -> None:
    (line,) = problems(monkeypatch, **WEBHOOK | changed)
    assert problem in line


def test_a_receiver_may_be_one_by_plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**WEBHOOK, "WEBHOOK_URL": "http://hook:8000", "WEBHOOK_ALLOW_HTTP": "true"}.items():
        monkeypatch.setenv(PREFIX + name, value)
    assert load_settings().webhook_url == "http://hook:8000"
