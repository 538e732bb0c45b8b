"""API keys: how they look, and what is kept of them (connection 9.4, 10.2).

A key is 32 random bytes in URL-safe base64, 44 characters, shown once. Kept is its HMAC-SHA256 under the server's key,
so that neither a copy of the database alone nor a guess of the hash opens anything.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

import structlog

__all__ = ["HMAC_KEY_BYTES_MIN", "KeyHasher", "load_hmac_key", "new_key"]

log = structlog.get_logger("aether.tokens")

KEY_BYTES = 32
KEY_CHARACTERS_MAX = 512
"""Longer credentials are not looked at."""
HMAC_KEY_BYTES_MIN = 32
HMAC_KEY_FILE = "token-hmac-key"


def new_key() -> str:
    """A new API key."""
    return base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode()


class KeyHasher:
    """Turns keys into what is stored of them.

    :param old_keys: under which there may be stored ones yet, from before the server's key was changed (W-34).
    """

    def __init__(self, hmac_key: bytes, old_keys: Sequence[bytes] = ()) -> None:
        self._keys = (hmac_key, *old_keys)

    def hash(self, key: str) -> str:
        """64 hexadecimal digits; of a text that is too long to be a key those of nothing."""
        return self._hash(self._keys[0], key)

    def hashes(self, key: str) -> list[str]:
        """What may be stored of a key: :meth:`hash`, then those under old keys of the server."""
        return [self._hash(hmac_key, key) for hmac_key in self._keys]

    def matches(self, key: str, digest: str) -> bool:
        """In a time that does not depend on where they differ."""
        return any(hmac.compare_digest(known, digest) for known in self.hashes(key))

    @staticmethod
    def _hash(hmac_key: bytes, key: str) -> str:
        if len(key) > KEY_CHARACTERS_MAX:
            key = ""
        return hmac.new(hmac_key, key.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def load_hmac_key(configured: str, directory: Path) -> bytes:
    """The server's key: the configured one, else that of the data directory, made at the first start.

    :raises OSError: it cannot be read or written, or what is there is too short to be a key.
    """
    if configured:
        return configured.encode()
    path = directory / HMAC_KEY_FILE
    try:
        key = path.read_bytes().strip()
    except FileNotFoundError:
        return _make_hmac_key(path)
    if len(key) < HMAC_KEY_BYTES_MIN:  # anybody could make tokens with a guess
        raise OSError(errno.EINVAL, f"not a key of {HMAC_KEY_BYTES_MIN} characters or more", str(path))
    return key


def _make_hmac_key(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    key = base64.b64encode(secrets.token_bytes(HMAC_KEY_BYTES_MIN))
    # Written whole before it has its name: a crash in between must not leave half a key that tokens are made with.
    draft = path.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(key + b"\n")
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    log.info("made a key for hashing API keys", file=str(path))
    return key
