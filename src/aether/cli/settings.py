"""``aether config``: the settings in force, and the reference of all settings."""

from __future__ import annotations

from typing import Any, TypeGuard, get_args

from aether.config import Config
from aether.config.base import Section
from aether.config.model import DEV_DEFAULTS
from aether.config.sources import ENVIRONMENT, Setting, environment_name, settings
from aether.config.values import Duration, PositiveDuration, PositiveSize, Size, format_duration, format_size

__all__ = ["effective", "reference"]

_DURATIONS = {note for kind in (Duration, PositiveDuration) for note in kind.__metadata__[-1:]}  # type: ignore[attr-defined]
_SIZES = {note for kind in (Size, PositiveSize) for note in kind.__metadata__[-1:]}  # type: ignore[attr-defined]


def _written(setting: Setting, value: Any) -> str:
    """A value as one would write it in the file."""
    if value is None:
        return ""
    if _DURATIONS.intersection(setting.field.metadata):
        return format_duration(value)
    if _SIZES.intersection(setting.field.metadata):
        return format_size(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    if isinstance(value, float):
        return f"{value:.12g}"
    return str(value)


def effective(config: Config) -> str:
    """Every setting with its value and origin, one a line, as YAML with dotted keys."""
    rows = []
    for setting in settings():
        value: Any = config
        for part in setting.key.split("."):
            value = getattr(value, part)
        rows.append((f"{setting.key}: {_written(setting, value)}", config.origin(setting.key)))
    width = max(len(text) for text, _ in rows)
    return "".join(f"{text:<{width}}  # {origin}\n" for text, origin in rows)


def reference() -> str:
    """All settings in Markdown, a table for each section."""
    parts: list[str] = []
    title: str | None = None
    for setting in settings():
        section = setting.key.rpartition(".")[0]
        if section != title:
            title = section
            parts.append(_heading(section))
        name = setting.key.rpartition(".")[2]
        sentence = _plain(setting.field.description or "")
        default = _written(setting, setting.field.default)
        section_defaults = DEV_DEFAULTS.get(section, {})
        if name in section_defaults:
            default += f" (dev: {_written(setting, section_defaults[name])})"
        short = [f"`{variable}`" for variable, key in ENVIRONMENT.items() if key == setting.key]
        names = ", ".join(dict.fromkeys([*short, f"`{environment_name(setting.key)}`"]))
        parts.append(f"| `{name}` | {default} | {setting.allowed} | {sentence} {names} |\n")
    parts += [_elements(setting) for setting in settings()]
    return "".join(parts).lstrip("\n")


def _elements(setting: Setting) -> str:
    """The keys of the sections in a list, a table for them and for each section in them; empty for other settings."""
    element = next((kind for kind in get_args(setting.field.annotation) if _is_section(kind)), None)
    return "" if element is None else _table(f"{setting.key}[]", element)


def _table(title: str, model: type[Section]) -> str:
    rows, inner = [], []
    for name, field in model.model_fields.items():
        if _is_section(field.annotation):
            inner.append(_table(f"{title}.{name}", field.annotation))
            continue
        leaf = Setting(name, field)
        default = "needed" if field.is_required() else _written(leaf, field.default)
        rows.append(f"| `{name}` | {default} | {leaf.allowed} | {_plain(field.description or '')} |\n")
    heading = f"\n### `{title}`\n\n{_plain(model.__doc__ or '')}\n\n"
    return heading + "| key | default | allowed | meaning |\n| --- | --- | --- | --- |\n" + "".join(rows + inner)


def _is_section(kind: Any) -> TypeGuard[type[Section]]:
    return isinstance(kind, type) and issubclass(kind, Section)


def _heading(section: str) -> str:
    model: type[Section] = Config
    for part in filter(None, section.split(".")):
        kind = model.model_fields[part].annotation
        assert isinstance(kind, type)
        assert issubclass(kind, Section)
        model = kind
    columns = "| key | default | allowed | meaning, and its environment variables |\n| --- | --- | --- | --- |\n"
    if not section:
        return f"\n### Top level\n\n{columns}"
    return f"\n### `{section}`\n\n{_plain(model.__doc__ or '')}\n\n{columns}"


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("``", "`")
