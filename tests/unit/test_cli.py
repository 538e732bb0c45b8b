"""The command line: what it prints and how it ends. Serving itself is in tests/integration."""

from __future__ import annotations

import io
import json
import logging
import socket
import sqlite3
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result
from tests.support.engines import NATIVE, hide_native

from aether import __version__
from aether.cli import main
from aether.cli.doctor import Finding, examine
from aether.cli.logs import set_up_logs
from aether.cli.settings import reference
from aether.config import Config
from aether.config.serving import Log

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run a command in an empty directory, without settings from this machine's environment."""
    for name in [name for name in __import__("os").environ if name.startswith("AETHER")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> Result:
        return CliRunner().invoke(main, arguments)

    return command


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_version(run):
    assert run("version").output == f"aether {__version__}\n"


def test_help_names_every_command(run):
    output = run("--help").output
    for command in ("serve", "demo", "doctor", "config", "version"):
        assert f"\n  {command} " in output


def test_python_dash_m_needs_no_gateway_to_print_the_version():
    code = "import sys, runpy; sys.argv = ['aether', 'version']; runpy.run_module('aether', run_name='__main__')"
    check = "import atexit, sys; atexit.register(lambda: print([m for m in ('trio', 'pydantic') if m in sys.modules]))"
    environment = {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", f"{check}; {code}"], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"aether {__version__}\n[]\n"


@pytest.mark.parametrize("command", ["serve", "doctor", "config"])
def test_a_configuration_that_cannot_be_used_ends_with_all_reasons(run, command):
    result = run(command, "--port", "x", "--durability", "fsync", "--dev", "--host", "0.0.0.0")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "The configuration cannot be used:",
        "gateway.port = 'x' (--port): allowed is a port from 0 to 65535",
        "storage.durability = 'fsync' (--durability): allowed is one of batch, os",
    ]


def test_config_shows_values_and_origins(run, tmp_path, monkeypatch):
    (tmp_path / "a.yaml").write_text("shutdown: {graceful_timeout: 90s}\n", encoding="utf-8")
    monkeypatch.setenv("AETHER_CONFIG", "a.yaml")
    monkeypatch.setenv("AETHER_OPS_PORT", "0")
    lines = run("config", "--dev", "--admin-port", "31999").output.splitlines()
    shown = {key: (value.strip(), origin) for key, value, origin in (split(line) for line in lines)}
    assert shown["shutdown.graceful_timeout"] == ("90s", "a.yaml line 1")
    assert shown["gateway.ops_port"] == ("0", "AETHER_OPS_PORT")
    assert shown["dev"] == ("true", "--dev")
    assert shown["admin.port"] == ("31999", "--admin-port")
    assert shown["gateway.message_rate_limit"] == ("0", "default")
    assert shown["storage.message_retention_bytes"] == ("10GiB", "default")


def split(line: str) -> tuple[str, str, str]:
    setting, _, origin = line.partition("# ")
    key, _, value = setting.partition(": ")
    return key, value, origin


def test_the_reference_in_the_documentation_is_current():
    text = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    assert reference() in text, "run: python -m aether config --markdown, and put it into docs/configuration.md"


# --- doctor -----------------------------------------------------------------------------------------------------------


def findings(config: Config) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(config)}


def test_doctor_is_content_here(run, tmp_path):
    result = run("doctor", "--dev", "--port", str(free_port()), "--ops-port", "0")
    assert result.exit_code == 0, result.output
    assert list(tmp_path.iterdir()) == []


def test_doctor_tells_who_shares_exclusive_values():
    shared = Config(acl={"enabled": True})
    assert findings(shared)["exclusive values"].ok is None
    assert "exclusive values" not in findings(Config(acl={"enabled": True}, kv={"exclusive_by": "identity"}))
    assert "exclusive values" not in findings(Config(acl={"enabled": False}))


def test_doctor_sees_a_port_in_use_and_missing_authentication(run):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        result = run("doctor", "--port", str(port), "--ops-port", "0")
    assert result.exit_code == 1
    output = " ".join(result.output.split())
    assert f"problem gRPC port 127.0.0.1 port {port}: address already in use" in output
    assert "problem authentication no authentication is configured" in output


def test_doctor_on_the_data_directory(tmp_path):
    inside = tmp_path / "a/b"
    found = findings(Config.development(inside))["data directory"]
    assert found.ok
    assert f"will be made in {tmp_path}" in found.text
    (tmp_path / "a").write_text("a file", encoding="utf-8")
    assert not findings(Config.development(inside))["data directory"].ok
    for name, content in (("aether.db", ""), ("token-hmac-key", "k" * 44)):
        (tmp_path / name).write_text(content, encoding="utf-8")
    found = findings(Config.development(tmp_path))["data directory"]
    assert not found.ok
    assert "restore aether.db from a backup" in found.text


def test_doctor_says_which_engine_runs_and_why(tmp_path, monkeypatch):
    def engine(wanted="auto"):
        found = findings(Config.development(tmp_path, gateway={"engine": wanted}))["engine"]
        return found.ok, found.text

    if NATIVE:
        for wanted, why in (("auto", "compiled in, so auto takes it"), ("native", "as configured")):
            ok, text = engine(wanted)
            assert ok
            assert text.startswith("native, libnghttp2 1.")
            assert text.endswith(why)
    pure = f"purerpc {metadata.version('purerpc')}"
    assert engine("purerpc") == (True, f"{pure}, as configured")
    hide_native(monkeypatch)
    assert engine("purerpc") == (True, f"{pure}, as configured")
    ok, text = engine()
    assert ok is None
    assert text.startswith(f"{pure}, slower: the native engine is not compiled (")
    ok, text = engine("native")
    assert ok is False
    assert "install libnghttp2-dev" in text


def test_doctor_on_what_is_too_old_or_not_compiled(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 37, 2))
    monkeypatch.setitem(sys.modules, "aether._fastpath", None)
    found = findings(Config.development(tmp_path))
    assert not found["sqlite"].ok
    assert not found["fast path"].ok


# --- logs -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def restore_logs():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], _ = handlers, root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("restore_logs")
def test_json_lines_for_machines_from_us_and_from_libraries():
    stream = io.StringIO()
    set_up_logs(Log(level="info"), stream)
    structlog.get_logger("aether.test").info("ready", port=1, path=Path("x"))
    structlog.get_logger("aether.test").debug("not shown")
    logging.getLogger("aether.rpc").warning("lost %d", 3)
    try:
        raise ValueError("boom")
    except ValueError:
        structlog.get_logger("aether.test").exception("failed")
    first, second, third = map(json.loads, stream.getvalue().splitlines())
    assert first.pop("time").endswith("Z")
    assert first == {"level": "info", "logger": "aether.test", "message": "ready", "port": 1, "path": "x"}
    assert (second["level"], second["logger"], second["message"]) == ("warning", "aether.rpc", "lost 3")
    assert third["exception"][0]["exc_value"] == "boom"


@pytest.mark.usefixtures("restore_logs")
def test_lines_for_people():
    stream = io.StringIO()
    set_up_logs(Log(format="console"), stream)
    structlog.get_logger("aether.test").info("ready", port=1)
    assert "ready" in stream.getvalue()
    assert "port=1" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
