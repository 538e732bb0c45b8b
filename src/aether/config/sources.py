"""Reads settings from a YAML file, the environment and flags; the later of these three wins.

Nothing is skipped in silence: an unknown key, a value that does not parse, a variable with a slip in its name all end
in one :class:`ConfigError` that lists every problem with key, value, where it came from and what is allowed.
"""

from __future__ import annotations

import difflib
import os
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from aether.config.base import Section
from aether.config.model import Config
from aether.config.values import Allowed

__all__ = ["ENVIRONMENT", "ConfigError", "Problem", "Setting", "environment_name", "load_config", "settings"]

ENVIRONMENT = {
    "AETHER_DEV": "dev",
    "AETHER_HOST": "gateway.host",
    "AETHER_PORT": "gateway.port",
    "AETHER_OPS_PORT": "gateway.ops_port",
    "AETHER_GATEWAY_ID": "gateway.gateway_id",
    "AETHER_ENGINE": "gateway.engine",
    "AETHER_STRICT_IDENTIFIER_CHARSET": "gateway.strict_identifiers",
    "AETHER_TLS_CERT_FILE": "gateway.tls.cert_file",
    "AETHER_TLS_KEY_FILE": "gateway.tls.key_file",
    "AETHER_TLS_CA_FILE": "gateway.tls.ca_file",
    "AETHER_TLS_CLIENT_AUTH": "gateway.tls.client_auth",
    "AETHERLITE_DATA_DIR": "storage.data_dir",
    "AETHER_AUTH_MODES": "auth.modes",
    "AETHER_TOKEN_HMAC_KEY": "auth.token_hmac_key",
    "AETHER_DATA_DIR": "storage.data_dir",
    "AETHER_DURABILITY": "storage.durability",
    "AETHER_MESSAGE_RETENTION_TTL": "storage.message_retention",
    "AETHER_OFFSET_RETENTION_TTL": "storage.offset_retention",
}
"""Short and established names; every key also has the systematic one of :func:`environment_name`, which wins."""

FLAGS = {
    "gateway.host": "--host",
    "gateway.port": "--port",
    "gateway.ops_port": "--ops-port",
    "gateway.engine": "--engine",
    "admin.port": "--admin-port",
    "storage.data_dir": "--data-dir",
    "storage.durability": "--durability",
    "dev": "--dev",
}

_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT)(_\w+)?$|_PORT_\d+_(TCP|UDP)(_\w+)?$")
"""Variables that Kubernetes adds for every service: AETHER_GATEWAY_PORT=tcp://10.0.0.7:50051 is none of ours."""


@dataclass(frozen=True)
class Problem:
    """One mistake; ``key`` is a dotted setting, a variable or a file."""

    key: str
    value: Any
    origin: str
    allowed: str

    def __str__(self) -> str:
        value = "" if self.value is None else f" = {str(self.value)!r}"
        return f"{self.key}{value} ({self.origin}): {self.allowed}"


class ConfigError(ValueError):
    """The configuration cannot be used; ``problems`` has every reason."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True)
class Setting:
    """One leaf of the configuration."""

    key: str
    field: FieldInfo

    @property
    def allowed(self) -> str:
        """What values it takes, in words."""
        for note in _notes(self.field):
            if isinstance(note, Allowed):
                return note.text
        choices = _choices(self.field.annotation)
        assert choices, f"{self.key} has no words for what is allowed"
        return f"one of {', '.join(choices)}" if len(choices) > 1 else f"{choices[0]}"


def _notes(field: FieldInfo) -> Iterator[Any]:
    yield from field.metadata
    if get_origin(field.annotation) in (Union, types.UnionType):
        for part in get_args(field.annotation):
            yield from getattr(part, "__metadata__", ())


def _choices(annotation: Any) -> list[str]:
    return list(get_args(annotation)) if get_origin(annotation) is Literal else []


def settings(model: type[Section] = Config, prefix: str = "") -> Iterator[Setting]:
    """All leaves in the order of the model."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from settings(kind, f"{prefix}{name}.")
        else:
            yield Setting(f"{prefix}{name}", field)


def environment_name(key: str) -> str:
    """The systematic variable of a key: ``gateway.tls.cert_file`` is ``AETHER_GATEWAY_TLS_CERT_FILE``."""
    return "AETHER_" + key.upper().replace(".", "_")


_SETTINGS = {setting.key: setting for setting in settings()}
_SECTIONS = frozenset(key.rsplit(".", 1)[0] for key in _SETTINGS if "." in key)
_SYSTEMATIC = {environment_name(key): key for key in _SETTINGS}


@dataclass(frozen=True)
class _Value:
    value: Any
    origin: str


def load_config(
    file: Path | str | None = None,
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Config:
    """The configuration from its sources: flags beat the environment, which beats the file, which beats the defaults.

    :param file: YAML; None is no file.
    :param env: the environment, ``os.environ`` when None; an empty variable counts as unset.
    :param flags: values by dotted key, such as ``{"gateway.port": 50051}``; None values count as unset.
    :raises ConfigError: with all problems found.
    """
    problems: list[Problem] = []
    values: dict[str, _Value] = {}
    if file is not None:
        values |= _from_file(Path(file), problems)
    values |= _from_environment(os.environ if env is None else env, problems)
    for key, value in (flags or {}).items():
        if value is not None:
            values[key] = _Value(value, FLAGS.get(key, "argument"))
    tree: dict[str, Any] = {}
    for key, found in values.items():
        *path, name = key.split(".")
        branch = tree
        for part in path:
            branch = branch.setdefault(part, {})
        branch[name] = found.value
    try:
        config = Config.model_validate(tree)
    except ValidationError as error:
        problems += _explain(error, values)
    if problems:
        raise ConfigError(problems)
    config._origins.update({key: found.origin for key, found in values.items()})  # noqa: SLF001 -- ours to fill
    return config


def _explain(error: ValidationError, values: Mapping[str, _Value]) -> Iterator[Problem]:
    for detail in error.errors():
        if detail["type"] == "relations":
            for key, rule in detail["ctx"]["violations"]:
                found = values.get(key, _Value(None, "default"))
                yield Problem(key, found.value, found.origin, rule)
            continue
        key = whole = ".".join(str(part) for part in detail["loc"])
        while key not in _SETTINGS and "." in key:  # an element of a list
            key = key.rsplit(".", 1)[0]
        found = values.get(key, _Value(detail["input"], "default"))
        if whole != key and detail["type"] in ("missing", "extra_forbidden"):  # in a section of a list
            problem = "needed" if detail["type"] == "missing" else "unknown key"
            yield Problem(whole, None, found.origin, problem)
        else:
            yield Problem(key, found.value, found.origin, f"allowed is {_SETTINGS[key].allowed}")


def _from_file(path: Path, problems: list[Problem]) -> dict[str, _Value]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        problems.append(Problem(str(path), None, "--config", f"cannot be read: {reason}"))
        return {}
    values: dict[str, _Value] = {}
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is not None:
            _walk(loader, root, "", path.name, values, problems)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = path.name if mark is None else f"{path.name} line {mark.line + 1}"
        problems.append(Problem(str(path), None, where, f"not YAML: {getattr(error, 'problem', error)}"))
    finally:
        loader.dispose()
    return values


def _walk(
    loader: yaml.SafeLoader, node: yaml.Node, prefix: str, file: str, values: dict[str, _Value], problems: list[Problem]
) -> None:
    """Collect the leaves below a mapping, with the lines they stand on."""
    if not isinstance(node, yaml.MappingNode):
        if loader.construct_object(node, deep=True) is not None:  # an empty section is fine
            problems.append(
                Problem(prefix or file, None, f"{file} line {node.start_mark.line + 1}", "must be a section with keys")
            )
        return
    for key_node, value_node in node.value:
        where = f"{file} line {key_node.start_mark.line + 1}"
        key = f"{prefix}.{key_node.value}" if prefix else str(key_node.value)
        if key in _SECTIONS:
            _walk(loader, value_node, key, file, values, problems)
        elif key not in _SETTINGS:
            problems.append(Problem(key, None, where, f"unknown key{_did_you_mean(key, [*_SETTINGS, *_SECTIONS])}"))
        elif key in values:
            problems.append(Problem(key, None, where, f"already set by {values[key].origin}"))
        else:
            values[key] = _Value(loader.construct_object(value_node, deep=True), where)


def _from_environment(env: Mapping[str, str], problems: list[Problem]) -> dict[str, _Value]:
    values: dict[str, _Value] = {}
    for names in (ENVIRONMENT, _SYSTEMATIC):
        for name, key in names.items():
            value = env.get(name, "")
            if value and not _is_service_link(name, value):
                values[key] = _Value(value, name)
    known = {*ENVIRONMENT, *_SYSTEMATIC}
    sections = tuple(f"{environment_name(section)}_" for section in _SECTIONS)
    problems.extend(
        Problem(name, None, "environment", f"unknown variable{_did_you_mean(name, known)}")
        for name, value in sorted(env.items())
        if value and name.startswith(sections) and name not in known and not _is_service_link(name, value)
    )
    return values


def _is_service_link(name: str, value: str) -> bool:
    return bool(_SERVICE_LINK.search(name)) or value.startswith(("tcp://", "udp://"))


def _did_you_mean(name: str, known: Any) -> str:
    """A hint, by the whole key and by its last part."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    if not close:
        last = name.rsplit(".", 1)[-1]
        by_last = {key.rsplit(".", 1)[-1]: key for key in known}
        close = [by_last[match] for match in difflib.get_close_matches(last, by_last, n=1, cutoff=0.8)]
    return f"; did you mean {close[0]}?" if close else ""
