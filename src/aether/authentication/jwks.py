"""The keys of an issuer of bearer tokens: where they come from, how long they are good for (connection 9.6, W-19).

Keys are fetched when the gateway starts and then now and again, and at once, though not often, when a token names one
that is not among them: issuers change keys. While an issuer is away the last ones stay good, for a limited time.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import structlog
import trio
from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey, import_key

from aether.errors import StoreUnavailable

__all__ = ["Fetch", "FetchFailed", "IssuerKeys", "KeyPolicy", "PublicKey"]

log = structlog.get_logger("aether.authentication")

DISCOVERY = "/.well-known/openid-configuration"
KEYS_MAX = 100
RSA_BITS_MIN = 2048
RETRY_S = 5.0
"""Least time between two attempts to fetch, whatever tokens say and however many they are."""

Fetch = Callable[[str], Awaitable[bytes]]
"""Gets a document by its URL, or raises :class:`FetchFailed`; bounded in time and size."""

PublicKey: TypeAlias = "RSAKey | ECKey"

_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


class FetchFailed(Exception):
    """A document could not be had; the text is for the gateway's log."""


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """How long fetched keys are used. Seconds.

    :ivar refresh_s: fetch again after this.
    :ivar age_s_max: keys that could not be fetched again for so long are good for nothing.
    """

    refresh_s: float = 3600.0
    age_s_max: float = 86_400.0


class IssuerKeys:
    """The signature keys of one issuer.

    :param jwks_url: of the key set; empty: it is asked of the issuer (OpenID Connect Discovery 1.0, section 4).
    :param is_allowed: whether a discovered URL may be used; keys that come over an open line are worth nothing.
    :param clock: monotonic time in seconds.
    :param label: its name in the gateway's log, if not ``issuer``.
    """

    def __init__(
        self,
        issuer: str,
        jwks_url: str,
        fetch: Fetch,
        policy: KeyPolicy,
        is_allowed: Callable[[str], bool],
        clock: Callable[[], float] = trio.current_time,
        *,
        label: str = "",
    ) -> None:
        self._issuer = issuer
        self._label = label or issuer
        self._jwks_url = jwks_url
        self._fetch = fetch
        self._policy = policy
        self._is_allowed = is_allowed
        self._clock = clock
        self._keys: tuple[tuple[str, PublicKey], ...] = ()
        self._fetched_s: float | None = None
        self._is_away = False
        self._is_resting = False
        self._wanted = trio.Event()
        self._attempted = trio.Event()

    async def candidates(self, key_id: str, algorithm: str) -> Sequence[PublicKey]:
        """Keys that a token with this header may be signed with; none, one, or very few.

        While :meth:`run` runs this waits for its next attempt to fetch where the answer is not known, unless the last
        one was a moment ago. All who wait share one attempt, and leaving does not end it.

        :param key_id: empty when the token names none; then there has to be only one that fits.
        :raises StoreUnavailable: the issuer's keys are not known.
        """
        found = self._find(key_id, algorithm)
        if (not found or not self._is_good()) and not self._is_resting:
            self._wanted.set()
            await self._attempted.wait()
            found = self._find(key_id, algorithm)
        if not self._is_good() or (not found and self._is_away):
            raise StoreUnavailable(f"the keys of {self._issuer} are not known")
        return found

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the keys fresh, for ever."""
        task_status.started()
        while True:
            succeeded = await self._load()
            attempted, self._attempted = self._attempted, trio.Event()
            self._wanted = trio.Event()
            self._is_resting = True
            attempted.set()
            await trio.sleep(RETRY_S)
            self._is_resting = False
            with trio.move_on_after(max(0.0, self._policy.refresh_s - RETRY_S) if succeeded else RETRY_S):
                await self._wanted.wait()

    async def _load(self) -> bool:
        self._is_away = True
        try:
            url = self._jwks_url or await self._discover()
            keys = _read_keys(_read_object(await self._fetch(url)))
        except FetchFailed as error:
            log.warning("keys of a token issuer not fetched", issuer=self._label, reason=str(error))
            return False
        if not keys:  # no issuer means that, but a broken one says it
            log.warning("a token issuer has no usable keys", issuer=self._label)
            return False
        self._keys = keys
        self._fetched_s = self._clock()
        self._is_away = False
        return True

    async def _discover(self) -> str:
        document = _read_object(await self._fetch(self._issuer.rstrip("/") + DISCOVERY))
        if document.get("issuer") != self._issuer:
            raise FetchFailed("its configuration names another issuer")
        url = document.get("jwks_uri")
        if not isinstance(url, str) or not self._is_allowed(url):
            raise FetchFailed("its configuration has no jwks_uri that may be used")
        return url

    def _is_good(self) -> bool:
        return self._fetched_s is not None and self._clock() - self._fetched_s <= self._policy.age_s_max

    def _find(self, key_id: str, algorithm: str) -> Sequence[PublicKey]:
        fitting = [key for name, key in self._keys if name == key_id or not key_id if _fits(key, algorithm)]
        return fitting if key_id or len(fitting) == 1 else ()


def _fits(key: PublicKey, algorithm: str) -> bool:
    """Whether the key is one for the algorithm; so no public key is ever taken for a shared secret."""
    if key.get("alg") not in (None, algorithm):
        return False
    if isinstance(key, ECKey):
        return bool(key.curve_name == _CURVES.get(algorithm))
    return algorithm[:2] in ("RS", "PS")


def _read_object(text: bytes) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise FetchFailed("the answer is not JSON") from None
    if not isinstance(document, dict):
        raise FetchFailed("the answer is not a JSON object")
    return document


def _read_keys(document: dict[str, Any]) -> tuple[tuple[str, PublicKey], ...]:
    """The keys for signatures; others, and those that cannot be read, are left out (RFC 7517, section 5)."""
    members = document.get("keys")
    if not isinstance(members, list):
        raise FetchFailed("the answer is not a key set")
    keys = []
    for member in members[:KEYS_MAX]:
        if not isinstance(member, dict) or member.get("kty") not in ("RSA", "EC"):
            continue
        operations = member.get("key_ops")
        if member.get("use", "sig") != "sig" or (isinstance(operations, list) and "verify" not in operations):
            continue
        public = {name: member[name] for name in ("kty", "n", "e", "crv", "x", "y", "alg") if name in member}
        try:
            if 6 * len(public.get("n", "")) < RSA_BITS_MIN and public["kty"] == "RSA":
                continue  # the library would warn of it
            key = import_key(public)
            weak = isinstance(key, RSAKey) and key.public_key.key_size < RSA_BITS_MIN
        except (JoseError, UnsupportedAlgorithm, ValueError, TypeError, KeyError):  # the last for an unknown curve
            continue
        if isinstance(key, RSAKey | ECKey) and not weak:
            keys.append((str(member.get("kid", "")), key))
    return tuple(keys)
