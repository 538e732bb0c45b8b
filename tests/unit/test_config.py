"""Settings: where they come from, which one wins, and what a mistake looks like."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether.config import Config, ConfigError, load_config
from aether.config.sources import ENVIRONMENT, FLAGS, environment_name, settings
from aether.config.values import format_duration, format_size, is_loopback, parse_duration, parse_size
from aether.gateway.configured import gateway_settings, workspace_quotas


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def problems(**sources) -> str:
    """The text of the refusal that loading from ``sources`` must end in."""
    with pytest.raises(ConfigError) as caught:
        load_config(**{"env": {}, **sources})
    return str(caught.value)


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        (0, 0),
        ("500ms", 0.5),
        ("30s", 30),
        ("1.5h", 5400),
        ("1h30m", 5400),
        ("2m0.5s", 120.5),
        ("24h", 86400),
        ("100us", 1e-4),
        (" 5s ", 5),
    ],
)
def test_durations(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "5", 30, "5 s", "s", "-1s", "1d", "1h-", "infs", "nan", True, None, ["5s"], "1s1"]
)
def test_what_is_not_a_duration(text):
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [(0, 0), ("4096", 4096), ("256KiB", 262144), ("1 MiB", 1048576), ("2GB", 2 * 10**9), ("10kib", 10240), ("7B", 7)],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "-1", "1.5MiB", "1TiB", "MiB", True, None, "1MiBs"])
def test_what_is_not_a_size(text):
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)


@given(st.integers(min_value=0, max_value=10**9))
def test_durations_and_sizes_survive_being_written(number):
    assert parse_duration(format_duration(number / 1000)) == pytest.approx(number / 1000)
    assert parse_size(format_size(number)) == number


def test_loopback():
    assert all(map(is_loopback, ["127.0.0.1", "127.9.9.9", "::1", "localhost"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "10.0.0.1", "example.org", ""]))


# --- precedence -------------------------------------------------------------------------------------------------------


def test_flags_beat_the_environment_which_beats_the_file_which_beats_the_defaults(tmp_path):
    file = write(tmp_path / "a.yaml", "gateway: {port: 1001, ops_port: 1002, gateway_id: from-file}\n")
    env = {"AETHER_PORT": "2001", "AETHER_OPS_PORT": "2002"}
    config = load_config(file, env, {"gateway.port": 3001, "gateway.host": None})
    assert (config.gateway.port, config.gateway.ops_port, config.gateway.gateway_id) == (3001, 2002, "from-file")
    assert config.gateway.host == "127.0.0.1"
    assert [config.origin(f"gateway.{key}") for key in ("port", "ops_port", "gateway_id", "host")] == [
        "--port",
        "AETHER_OPS_PORT",
        "a.yaml line 1",
        "default",
    ]


def test_the_systematic_variable_beats_the_short_one():
    assert load_config(env={"AETHER_PORT": "1", "AETHER_GATEWAY_PORT": "2"}).gateway.port == 2
    assert load_config(env={"AETHERLITE_DATA_DIR": "a", "AETHER_DATA_DIR": "b"}).storage.data_dir == Path("b")


def test_an_empty_variable_is_unset():
    assert load_config(env={"AETHER_PORT": "", "AETHER_GATEWAY_NONSENSE": ""}).gateway.port == 50051


def test_every_established_variable_and_flag_names_a_setting():
    keys = {setting.key for setting in settings()}
    assert set(ENVIRONMENT.values()) | set(FLAGS) <= keys
    assert environment_name("gateway.tls.cert_file") == "AETHER_GATEWAY_TLS_CERT_FILE"


@pytest.mark.parametrize(
    ("variable", "value", "key", "expected"),
    [
        ("AETHER_STRICT_IDENTIFIER_CHARSET", "false", "gateway.strict_identifiers", False),
        ("AETHER_MESSAGE_RETENTION_TTL", "48h", "storage.message_retention", 172800),
        ("AETHER_MESSAGE_RETENTION_TTL", "0", "storage.message_retention", 0),
        ("AETHER_GATEWAY_DELIVERY_BUFFER_BYTES", "1MiB", "gateway.delivery_buffer_bytes", 1048576),
        ("AETHER_AUTH_MODES", "task_token, api_key", "auth.modes", ("task_token", "api_key")),
        ("AETHER_LOG_LEVEL", "WARN", "log.level", "warning"),
        ("AETHER_TLS_CLIENT_AUTH", "None", "gateway.tls.client_auth", "none"),
    ],
)
def test_values_from_the_environment(variable, value, key, expected):
    found = load_config(env={variable: value})
    for part in key.split("."):
        found = getattr(found, part)
    assert found == expected


def test_variables_that_are_not_ours_are_left_alone():
    env = {
        "AETHER_GATEWAY_PORT": "tcp://10.0.0.7:50051",  # Kubernetes adds these for a service named aether-gateway
        "AETHER_GATEWAY_SERVICE_HOST": "10.0.0.7",
        "AETHER_GATEWAY_SERVICE_PORT_GRPC": "50051",
        "AETHER_GATEWAY_PORT_50051_TCP_ADDR": "10.0.0.7",
        "AETHER_TLS_ENABLED": "1",  # read by clients
        "AETHER_WORKSPACE": "w",
    }
    assert load_config(env=env) == load_config(env={})


# --- mistakes ---------------------------------------------------------------------------------------------------------


def test_all_mistakes_are_reported_together_with_key_value_origin_and_what_is_allowed(tmp_path):
    file = write(
        tmp_path / "aether.yaml",
        "gateway:\n  prot: 50051\n  init_timeout: 30\n  tls:\n    client_auth: maybe\nlog: {level: loud}\nqoutas: {}\n",
    )
    text = problems(file=file, env={"AETHER_OPS_PORT": "99999"}, flags={"gateway.engine": "turbo"})
    assert text.splitlines() == [
        "gateway.prot (aether.yaml line 2): unknown key; did you mean gateway.port?",
        "qoutas (aether.yaml line 7): unknown key; did you mean quotas?",
        "gateway.ops_port = '99999' (AETHER_OPS_PORT): allowed is a port from 0 to 65535",
        "gateway.engine = 'turbo' (--engine): allowed is one of auto, native, purerpc",
        "gateway.init_timeout = '30' (aether.yaml line 3): "
        'allowed is a duration above zero such as "500ms", "30s" or "24h"',
        "gateway.tls.client_auth = 'maybe' (aether.yaml line 5): allowed is one of require, request, none",
        "log.level = 'loud' (aether.yaml line 6): allowed is one of debug, info, warning, error",
    ]


def test_a_key_in_the_wrong_section_is_found():
    text = problems(flags={}, env={"AETHER_STORAGE_DURABILTY": "os"})
    assert text == "AETHER_STORAGE_DURABILTY (environment): unknown variable; did you mean AETHER_STORAGE_DURABILITY?"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gateway: [1, 2]", "gateway (a.yaml line 1): must be a section with keys"),
        ("- 1\n", "a.yaml (a.yaml line 1): must be a section with keys"),
        ("gateway: {port: 1}\nlog: {level: info}\ngateway: {port: 2}", "gateway.port (a.yaml line 3): already set by"),
        ("gateway: {port: 1", "line 1): not YAML"),
        ("gateway: {port: true}", "gateway.port = 'True'"),
        ("quotas: {max_message_rate_per_identity: .nan}", "allowed is a number, 0 or more"),
        ("data_dir: x", "unknown key; did you mean storage.data_dir?"),
        ("storage: {durability: fsync}", "allowed is one of batch, os"),
        ("storage: {message_retention: 7d}", "allowed is a duration"),
        ("storage: {message_retention_bytes: -1}", "allowed is a size"),
        ("auth: {modes: [1]}", "allowed is a list of names"),
    ],
)
def test_mistakes_in_the_file(tmp_path, text, message):
    assert message in problems(file=write(tmp_path / "a.yaml", text))


def test_an_empty_file_and_empty_sections_are_fine(tmp_path):
    assert load_config(write(tmp_path / "a.yaml", ""), env={}) == Config()
    assert load_config(write(tmp_path / "b.yaml", "gateway:\nlog: {}\n"), env={}) == Config()


def test_a_file_that_cannot_be_read(tmp_path):
    assert "cannot be read: No such file" in problems(file=tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"log: {level: \xe9}")
    assert "not UTF-8" in problems(file=tmp_path / "latin.yaml")


ISSUER = [{"issuer": "https://login.example", "audience": "aether"}]


def test_issuers_of_bearer_tokens_from_a_file_and_a_variable(tmp_path):
    text = "[{issuer: https://login.example, audience: aether, claims_mapping: {workspace: ws}}]"
    (tmp_path / "aether.yaml").write_text(f"auth: {{modes: [oauth], oauth: {{providers: {text}}}}}")
    by_file = load_config(tmp_path / "aether.yaml", env={})
    by_variable = load_config(env={"AETHER_AUTH_MODES": "oauth", "AETHER_AUTH_OAUTH_PROVIDERS": text})
    assert by_file.auth == by_variable.auth
    [provider] = by_file.auth.oauth.providers
    assert (provider.claims_mapping.workspace, provider.claims_mapping.identity) == ("ws", "sub")
    assert by_file.authentication_problem() is None
    assert "a list of sections" in problems(env={"AETHER_AUTH_OAUTH_PROVIDERS": "[{"})


def test_task_tokens_alone_are_no_authentication():
    """Nobody could connect to make a task."""
    config = load_config(env={"AETHER_AUTH_MODES": "task_token"})
    assert "no authentication is configured" in (config.authentication_problem() or "")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"gateway.tls.cert_file": "c.pem"}, "gateway.tls.key_file (default): needed too"),
        ({"gateway.tls.key_file": "k.pem"}, "gateway.tls.cert_file (default): needed too"),
        (
            {"gateway.tls.cert_file": "c.pem", "gateway.tls.key_file": "k.pem", "gateway.tls.client_auth": "request"},
            "gateway.tls.ca_file (default): needed unless gateway.tls.client_auth is none",
        ),
        ({"gateway.port": 9090}, "gateway.ops_port (default): another port than gateway.port (9090)"),
        ({"gateway.max_payload_size": "5MiB"}, "gateway.max_receive_message (default): at least"),
        ({"quotas.max_kv_value_size": "4MiB"}, "quotas.max_kv_value_size = '4MiB' (argument): at most"),
        ({"checkpoint.max_size": "4MiB"}, "checkpoint.max_size = '4MiB' (argument): at most"),
        ({"admin.enabled": True}, "this version has no admin API"),
        ({"kv.max_ttl": "1h", "kv.default_ttl": "2h"}, "kv.default_ttl = '2h' (argument): at most kv.max_ttl"),
        ({"kv.default_ttl": "500ms"}, "a duration of whole seconds"),
        ({"auth.modes": "oauth"}, "auth.oauth.providers (default): at least one for oauth in auth.modes"),
        ({"auth.oauth.algorithms": "HS256"}, "auth.oauth.algorithms = 'HS256' (argument): some of RS256, "),
        ({"auth.oauth.algorithms": "none"}, "some of RS256, "),
        ({"auth.oauth.algorithms": ""}, "some of RS256, "),
        (
            {"auth.modes": "oauth", "gateway.host": "0.0.0.0", "auth.oauth.providers": ISSUER},
            "needed for api_key or oauth in auth.modes",
        ),
        ({"auth.modes": "mtls,api_key", "gateway.host": "::"}, "needed for api_key or oauth in auth.modes"),
        ({"auth.oauth.providers": [{**ISSUER[0], "issuer": "http://x.example"}]}, "an https URL (or http on this"),
        ({"auth.oauth.providers": [{**ISSUER[0], "jwks_url": "ftp://x.example"}]}, "instead of ftp://x.example"),
        ({"auth.oauth.providers": [{"audience": "a"}]}, "auth.oauth.providers.0.issuer (argument): needed"),
        ({"auth.oauth.providers": [{**ISSUER[0], "verify_signature": False}]}, "verify_signature (argument): unknown"),
        ({"auth.oauth.providers": [{**ISSUER[0], "default_principal": "Service"}]}, "a list of sections, each with"),
    ],
)
def test_settings_that_contradict_each_other(flags, message):
    assert message in problems(flags=flags)


# --- development and authentication -----------------------------------------------------------------------------------


def test_limits_are_on_except_in_development_where_they_can_be_set():
    assert gateway_settings(load_config(env={})).message_rate == 100
    assert gateway_settings(load_config(env={})).message_burst == 200
    assert workspace_quotas(load_config(env={})).connections == 1000
    dev = load_config(env={"AETHER_DEV": "true"})
    settings, share = gateway_settings(dev), workspace_quotas(dev)
    assert (settings.message_rate, settings.identity_message_rate) == (0, 0)
    assert (share.connections, share.tasks, share.message_rate) == (0, 0, 0)
    limited = load_config(
        env={"AETHER_QUOTAS_ENABLED": "yes", "AETHER_DEV": "1"}, flags={"gateway.message_rate_limit": 7}
    )
    assert gateway_settings(limited).message_rate == 7
    assert gateway_settings(limited).identity_message_rate == 100


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "example.org"])
def test_development_refuses_to_be_reached_from_elsewhere(host):
    text = problems(flags={"dev": True, "gateway.host": host})
    assert text == (
        f"gateway.host = '{host}' (--host): with dev only a loopback address such as 127.0.0.1, ::1 or localhost"
    )
    assert load_config(env={}, flags={"gateway.host": host}).gateway.host == host


def test_without_development_and_without_authentication_there_is_a_problem_to_tell():
    assert Config.development().authentication_problem() is None
    assert "no authentication is configured (auth.modes is empty)" in (Config().authentication_problem() or "")
    config = load_config(env={"AETHER_AUTH_MODES": "saml"})
    assert "auth.modes names saml, which this version cannot check" in (config.authentication_problem() or "")


def test_development_in_code(tmp_path):
    config = Config.development(tmp_path, gateway={"engine": "purerpc"}, storage={"durability": "os"})
    assert (config.dev, config.gateway.port, config.gateway.ops_port) == (True, 0, 0)
    assert (config.gateway.engine, config.storage.durability, config.storage.data_dir) == ("purerpc", "os", tmp_path)
    with pytest.raises(ValueError, match="engin"):
        Config.development(gateway={"engin": "native"})
    with pytest.raises(ValueError, match="frozen"):
        config.dev = False


def test_every_setting_says_what_it_does_and_what_is_allowed():
    for setting in settings():
        assert setting.field.description, setting.key
        assert setting.field.description.endswith("."), setting.key
        assert setting.allowed, setting.key
