"""API tokens: the records behind API keys (connection 9.5, acl 14.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from aether.acl.patterns import compile_pattern
from aether.records import RecordStore, Table
from aether.tokens.keys import KeyHasher

__all__ = ["IDENTITY_SCOPE", "OPERATION_SCOPES", "SCOPES", "Token", "TokenStore"]

USED_EVERY_MS = 60_000
"""``last_used_ms`` is written at most this often."""

IDENTITY_SCOPE = "identity:"
"""Prefix of the scopes that bind a key to identities by a pattern, such as ``identity:ag::prod::worker::*``."""

OPERATION_SCOPES = frozenset({"send", "kv", "task", "admin"})
"""Scopes that, once a token has one of them, allow that kind of operation and none without its scope."""

SCOPES = OPERATION_SCOPES | {"connect", "*"}


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of an API key. Times are Unix milliseconds; 0 is never or not yet.

    :ivar principal_type: title of the only type that it admits, such as ``Agent``.
    :ivar workspace_patterns: workspaces it admits to; none stands for all.
    :ivar created_by: for users the user id that it admits, for others who made it.
    """

    id: str
    hash: str
    name: str
    principal_type: str
    workspace_patterns: tuple[str, ...]
    scopes: tuple[str, ...]
    created_by: str
    created_ms: int
    updated_ms: int
    expires_ms: int = 0
    last_used_ms: int = 0
    revoked_ms: int = 0

    @property
    def ended_ms(self) -> int:
        """When it was revoked or will have expired; 0: neither."""
        return self.revoked_ms or self.expires_ms

    def is_live(self, now_ms: int) -> bool:
        return not self.revoked_ms and not 0 < self.expires_ms <= now_ms

    def admits_workspace(self, workspace: str) -> bool:
        patterns = self.workspace_patterns
        return not patterns or any(pattern == "*" or compile_pattern(pattern)(workspace) for pattern in patterns)

    def admits_identity(self, identity: str) -> bool:
        """Without an ``identity:`` scope every identity of the type."""
        patterns = [scope.removeprefix(IDENTITY_SCOPE) for scope in self.scopes if scope.startswith(IDENTITY_SCOPE)]
        return not patterns or any(compile_pattern(pattern)(identity) for pattern in patterns)

    @property
    def may_connect(self) -> bool:
        return not self.scopes or bool({"connect", "*"}.intersection(self.scopes)) or bool(self.operations)

    @property
    def operations(self) -> frozenset[str] | None:
        """Kinds of operations it is restricted to; None: it is not."""
        if "*" in self.scopes:
            return None
        return OPERATION_SCOPES.intersection(self.scopes) or None


class TokenStore:
    """All tokens, by id and by the hash of their key.

    :param wall_clock: current Unix time in milliseconds.
    """

    def __init__(self, records: RecordStore, hasher: KeyHasher, wall_clock: Callable[[], int]) -> None:
        self._table = Table(records, "token", Token)
        self._hasher = hasher
        self._wall_clock = wall_clock
        self._by_hash = {token.hash: token.id for token in self._table.values()}

    @property
    def ticket(self) -> int:
        """Batch that makes the latest change durable."""
        return self._table.ticket

    def find(self, key: str) -> Token | None:
        """The live token of a key, noted as used; None for any other text."""
        hashes = self._hasher.hashes(key)
        token_id = next((found for hash_ in hashes if (found := self._by_hash.get(hash_))), "")
        token = self._table.get(token_id)
        now_ms = self._wall_clock()
        if token is None or not self._hasher.matches(key, token.hash) or not token.is_live(now_ms):
            return None
        if token.hash != hashes[0]:  # stored under an old key of the server
            del self._by_hash[token.hash]
            token = self.add(token, key)
        if now_ms - token.last_used_ms >= USED_EVERY_MS:
            token = replace(token, last_used_ms=now_ms)
            self._table.put(token.id, token)
        return token

    def get(self, token_id: str) -> Token | None:
        return self._table.get(token_id)

    def is_live(self, token_id: str) -> bool:
        """Whether there is such a token and its key opens something."""
        token = self._table.get(token_id)
        return token is not None and token.is_live(self._wall_clock())

    def all(self) -> list[Token]:
        """The newest first."""
        return sorted(self._table.values(), key=lambda token: token.created_ms)[::-1]

    def add(self, token: Token, key: str) -> Token:
        """Keep a token for a key; its hash is set here.

        :raises StoreUnavailable: nothing was changed.
        """
        token = replace(token, hash=self._hasher.hash(key))
        self._table.put(token.id, token)
        self._by_hash[token.hash] = token.id
        return token

    def revoke(self, token: Token) -> Token:
        """Its key opens nothing from now on; the first revocation counts.

        :raises StoreUnavailable: nothing was changed.
        """
        if token.revoked_ms:
            return token
        now_ms = self._wall_clock()
        token = replace(token, revoked_ms=now_ms, updated_ms=now_ms)
        self._table.put(token.id, token)
        return token

    def remove_dead(self, before_ms: int, limit: int) -> int:
        """Forget tokens that ended before a time; returns how many.

        :raises StoreUnavailable: some are still there.
        """
        dead = [token for token in self._table.values() if 0 < token.ended_ms < before_ms][:limit]
        for token in dead:
            self.delete(token)
        return len(dead)

    def delete(self, token: Token) -> None:
        """:raises StoreUnavailable: nothing was changed."""
        self._table.delete(token.id)
        self._by_hash.pop(token.hash, None)
