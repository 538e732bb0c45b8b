"""The settings of a gateway: what exists, what is allowed, where values come from.

:class:`Config` is a plain frozen model, so an embedding program builds one in code; :func:`load_config` is what the
command line does: file, environment and flags, with every mistake reported at once.
"""

from __future__ import annotations

from aether.config.model import Config
from aether.config.sources import ConfigError, Problem, load_config

__all__ = ["Config", "ConfigError", "Problem", "load_config"]
