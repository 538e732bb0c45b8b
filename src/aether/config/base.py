"""What the sections of the configuration have in common.

A setting is declared once: its type, default, unit and one sentence on what it does. The sentences are the reference:
docs/configuration.md is made from them (``python -m aether config --markdown``). A setting without an effect is not in
any section.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["GIB", "KIB", "MIB", "Section"]

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


class Section(BaseModel):
    """A section of the file; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)
