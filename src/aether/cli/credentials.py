"""What commands show to a gateway, and whom they trust: from files, with the file named where one is of no use."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import click

__all__ = ["api_key", "trusting"]


def api_key(file: Path | None) -> str:
    """The key in a file, else that of the environment; empty: none.

    :raises click.ClickException: there is none in the file.
    """
    if file is None:
        return os.environ.get("AETHER_API_KEY", "")
    try:
        key = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        key = ""
    if not key:
        raise click.ClickException(f"there is no API key in {file}")
    return key


def trusting(ca_file: Path | None) -> ssl.SSLContext | None:
    """TLS with a gateway whose certificate is of the authority in a file; None: without TLS.

    :raises click.ClickException: there is no certificate in the file.
    """
    if ca_file is None:
        return None
    from aether.rpc.tls import client_context

    try:
        return client_context(ca_file=ca_file)
    except OSError:
        raise click.ClickException(f"there is no certificate in {ca_file}") from None
