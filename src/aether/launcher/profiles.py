"""Profiles: which agents this orchestrator starts, and how. A YAML file of the machine's operator.

What a client says of a start -- launch parameters -- only fills in what the operator left open: placeholders of the
command, each one argument and never a shell's, and the environment variables that the profile lists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from aether.config.values import Duration, PositiveCount
from aether.errors import AetherError
from aether.proto import aether_pb2 as pb

__all__ = ["ContainerProfile", "InvalidProfiles", "ProcessProfile", "Profile", "environment", "fill", "load_profiles"]

_PLACEHOLDER = re.compile(r"\{([a-z_][a-z0-9_.]*)\}")


_MAPPING = "should be a mapping of names to values"
_EXPECTED = {
    "tuple_type": "should be a list, such as [python, -m, my_agent]",
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "string_type": "should be a text; numbers and yes or no need quotes",
    "extra_forbidden": "there is no such setting",
}


class InvalidProfiles(AetherError):
    """The file cannot be used; the text says where and why."""


class _Profile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    environment: dict[str, str] = {}
    """Variables for every agent, besides those that say who it is."""
    allow_environment: tuple[str, ...] = ()
    """Variables that a start may set, by launch parameters ``env.NAME``."""
    stop_timeout: Duration = 5.0
    """How long an agent has between being asked to end and being ended."""


class ProcessProfile(_Profile):
    """A process on this machine."""

    kind: Literal["process"] = "process"
    command: Annotated[tuple[str, ...], Field(min_length=1)]
    """Program and arguments; ``{specifier}``, ``{workspace}``, ``{implementation}``, ``{task_id}`` and any launch
    parameter are replaced."""
    directory: Path | None = None
    """Where it runs; default: where the orchestrator does."""


class ContainerProfile(_Profile):
    """A container, by the API of the Docker engine."""

    kind: Literal["container"]
    image: str
    command: tuple[str, ...] = ()
    """Instead of the image's own."""
    network: str = ""
    memory_bytes: Annotated[int, Field(ge=0)] = 0
    cpus: Annotated[float, Field(ge=0)] = 0.0


Profile = Annotated[ProcessProfile | ContainerProfile, Field(discriminator="kind")]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    agents_max: PositiveCount = 100
    """Agents at once; more starts are refused, so that another orchestrator can be asked."""
    profiles: Annotated[dict[str, Profile], Field(min_length=1)]


_file = TypeAdapter(_File)


def load_profiles(path: Path) -> tuple[Mapping[str, ProcessProfile | ContainerProfile], int]:
    """The profiles of a file by name, and how many agents may run at once.

    :raises InvalidProfiles: it cannot be read, or something in it is not allowed.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        profiles = document.get("profiles") if isinstance(document, dict) else None
        for profile in profiles.values() if isinstance(profiles, dict) else ():
            if isinstance(profile, dict):
                profile.setdefault("kind", "process")
        found = _file.validate_python(document)
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidProfiles(f"{path}: {error}") from None
    except ValidationError as error:
        raise InvalidProfiles(f"{path}: {'; '.join(map(_problem, error.errors()))}") from None
    return found.profiles, found.agents_max


def _problem(error: ErrorDetails) -> str:
    """Where and why, in the words of the file."""
    where = [str(part) for part in error["loc"]]
    if where[:1] == ["profiles"] and where[2:3] in (["process"], ["container"]):
        del where[2]  # which is said by ``kind``
    why = _EXPECTED.get(error["type"], error["msg"])
    return f"{'.'.join(where)}: {why}" if where else why


def fill(command: tuple[str, ...], start: pb.TaskAssignment) -> list[str]:
    """A command with its placeholders replaced.

    :raises ValueError: one names nothing that the start says.
    """
    known = {
        **start.launch_params,
        "specifier": start.specifier,
        "workspace": start.workspace,
        "implementation": start.target_implementation,
        "profile": start.profile,
        "task_id": start.task_id,
    }
    known.pop("auth_token", None)  # arguments are there for everybody to see

    def replace(found: re.Match[str]) -> str:
        try:
            return known[found[1]]
        except KeyError:
            raise ValueError(f"the start says nothing of {found[0]}") from None

    return [_PLACEHOLDER.sub(replace, part) for part in command]


def environment(profile: _Profile, start: pb.TaskAssignment, gateway: str) -> dict[str, str]:
    """What a started agent finds in its environment (sdk 9)."""
    allowed = {
        name.removeprefix("env."): value
        for name, value in start.launch_params.items()
        if name.startswith("env.") and name.removeprefix("env.") in profile.allow_environment
    }
    return {
        **profile.environment,
        **allowed,
        "AETHER_GATEWAY": gateway,
        "AETHER_WORKSPACE": start.workspace,
        "AETHER_IMPLEMENTATION": start.target_implementation,
        "AETHER_SPECIFIER": start.specifier,
        "AETHER_AUTH_TOKEN": start.launch_params.get("auth_token", ""),
        "AETHER_TASK_ID": start.task_id,
        "AETHER_PROFILE": start.profile,
        "AETHER_CHECKPOINT_KEY": start.checkpoint_key,
        "AETHER_RESUME_SESSION_ID": start.resume_session_id,
    }
