"""Operations on API tokens (connection 13.4, acl 14.1).

Every change is audited, in the commit that makes it durable, and reaches live sessions: what was opened with a token
that is revoked or deleted is closed (weakness 11). Those of one that expires end by themselves.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import trio

from aether.access import Access, Level, is_system
from aether.acl.model import subject
from aether.acl.patterns import is_pattern, literal_prefix, named_workspaces
from aether.answers import IN_DOUBT, Answer, Caller, fit
from aether.audit.events import Event, Recorder, actor_of
from aether.errors import Code, Refusal, StoreUnavailable
from aether.identity import InvalidIdentity, PrincipalType, parse_identity, principal_type
from aether.paging import page
from aether.proto import aether_pb2 as pb
from aether.tokens.keys import new_key
from aether.tokens.store import IDENTITY_SCOPE, SCOPES, Token, TokenStore
from aether.tokens.wire import token_frame, token_info

__all__ = ["EndSessions", "TokenService"]

NAME_CHARACTERS_MAX = 255
PATTERNS_MAX = 100
HOUR_MS = 3_600_000
HOURS_MAX = 24 * 366 * 100
KEPT_MS = 90 * 24 * HOUR_MS
"""How long a token can be listed after it was revoked or has expired."""
TIDY_S = 3600.0
REMOVED_AT_ONCE = 1000

Op = pb.TokenOperation

EndSessions = Callable[[Callable[[str], bool], str], None]
"""Ends the sessions whose token id a predicate accepts; the one with this session id asked for it."""

_DENIED = "admin tokens operations require system-level privileges or an explicit ACL grant"
_UNAVAILABLE = "the token store is unavailable, try again"


class TokenService:
    """Answers ``token_op``.

    :param wall_clock: current Unix time in milliseconds.
    """

    def __init__(
        self,
        store: TokenStore,
        access: Access,
        recorder: Recorder,
        end_sessions: EndSessions,
        wall_clock: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self._store = store
        self._access = access
        self._recorder = recorder
        self._end_sessions = end_sessions
        self._wall_clock = wall_clock
        self._new_id = new_id

    def handle(self, caller: Caller, operation: pb.TokenOperation) -> Answer:
        """Run one operation.

        :raises Refusal: this caller may not; clients match that by the request's id (acl 7.4).
        """
        if not is_system(caller):
            check = self._access.rights(caller).check
            if not check("admin", "admin/tokens", Level.ADMIN, "admin_op_tokens", "").allowed:
                raise Refusal(Code.PERMISSION_DENIED, _DENIED)
        response = pb.TokenResponse(request_id=operation.request_id)
        before = self._store.ticket
        try:
            match operation.op:
                case Op.LIST:
                    self._list(operation.filter, response)
                case Op.GET:
                    response.token.CopyFrom(token_info(self._get(operation.token_id)))
                case Op.CREATE:
                    self._create(caller, operation, response)
                case Op.REVOKE:
                    self._revoke(caller, operation.token_id, response)
                case Op.DELETE:
                    self._delete(caller, operation.token_id, response)
                case _:
                    raise _refused("unknown token operation")
            response.success = True
        except Refusal as refusal:
            response.error = refusal.message
        except StoreUnavailable:
            response.error = _UNAVAILABLE
        ticket = self._store.ticket if self._store.ticket != before else 0
        return Answer((token_frame(response),), ticket, functools.partial(_in_doubt, operation.request_id))

    # ------------------------------------------------------------------------------------------------- reading

    def _list(self, wanted: pb.TokenFilter, response: pb.TokenResponse) -> None:
        tokens = [token for token in self._store.all() if wanted.include_revoked or not token.revoked_ms]
        response.total_count = len(tokens)
        response.tokens.extend(fit(token_info(token) for token in page(tokens, wanted.limit, wanted.offset)))

    def _get(self, token_id: str) -> Token:
        token = self._store.get(token_id)
        if token is None:
            raise _refused(f"token not found: {token_id}")
        return token

    # ------------------------------------------------------------------------------------------------ changing

    def _create(self, caller: Caller, operation: pb.TokenOperation, response: pb.TokenResponse) -> None:
        if not operation.HasField("create_request"):
            raise _refused("create_request is required")
        request = operation.create_request
        kind = self._check_request(request)
        created_by = subject(caller.identity.kind.label, caller.identity.canonical_id)
        if kind is PrincipalType.USER:
            self._check_user(caller, request)
            created_by = request.created_by.strip()
        now_ms = self._wall_clock()
        key = new_key()
        token = Token(
            id=self._new_id(),
            hash="",
            name=request.name,
            principal_type=kind.title,
            workspace_patterns=tuple(request.workspace_patterns) or ("*",),
            scopes=tuple(request.scopes) or ("connect",),
            created_by=created_by,
            created_ms=now_ms,
            updated_ms=now_ms,
            expires_ms=now_ms + request.expires_in_hours * HOUR_MS if request.expires_in_hours > 0 else 0,
        )
        self._record(caller, "token_create", token)
        token = self._store.add(token, key)
        response.plaintext_token = key
        response.created_token.CopyFrom(token_info(token))
        response.message = "token created"

    def _check_request(self, request: pb.TokenCreateRequest) -> PrincipalType:
        """:raises Refusal: something is missing or makes no sense."""
        if not request.name:
            raise _refused("name is required")
        if len(request.name) > NAME_CHARACTERS_MAX:
            raise _refused(f"name must not exceed {NAME_CHARACTERS_MAX} characters")
        if not request.principal_type:
            raise _refused("principal_type is required")
        try:
            kind = principal_type(request.principal_type)
        except InvalidIdentity as error:
            raise _refused(str(error)) from None
        if max(len(request.workspace_patterns), len(request.scopes)) > PATTERNS_MAX:
            raise _refused(f"at most {PATTERNS_MAX} workspace_patterns and scopes")
        for scope in request.scopes:
            if scope not in SCOPES and not scope.startswith(IDENTITY_SCOPE):
                known = ", ".join(sorted(SCOPES))
                raise _refused(f'unknown scope "{scope}"; known are {known} and {IDENTITY_SCOPE}<pattern>')
            pattern = scope.removeprefix(IDENTITY_SCOPE)
            if scope.startswith(IDENTITY_SCOPE) and not _fits(pattern, kind):
                raise _refused(f'identity pattern "{pattern}" fits no {kind.label}')
        if request.expires_in_hours > HOURS_MAX:
            raise _refused(f"expires_in_hours must not exceed {HOURS_MAX}")
        return kind

    def _check_user(self, caller: Caller, request: pb.TokenCreateRequest) -> None:
        """Who may make keys that admit as a user (acl 14.1)."""
        check = functools.partial(self._access.rights(caller).check, operation="mint_user_tokens")
        allowed = (
            is_system(caller)
            or check("admin", "admin/*", Level.ADMIN, workspace="", tentative=True).allowed
            or all(
                check("capability", "capability/mint_user_tokens", Level.MANAGE, workspace=workspace).allowed
                for workspace in named_workspaces(request.workspace_patterns)
            )
        )
        if not allowed:
            raise _refused("minting user tokens requires capability/mint_user_tokens or global admin (admin/*)")
        if not request.created_by.strip():
            raise _refused("created_by (the target user id) is required for user tokens")

    def _revoke(self, caller: Caller, token_id: str, response: pb.TokenResponse) -> None:
        token = self._get(token_id)
        self._record(caller, "token_revoke", token)
        response.token.CopyFrom(token_info(self._store.revoke(token)))
        response.message = "token revoked"
        self._end_sessions(lambda used: used == token_id, caller.session_id)

    def _delete(self, caller: Caller, token_id: str, response: pb.TokenResponse) -> None:
        token = self._get(token_id)
        self._record(caller, "token_delete", token)
        self._store.delete(token)
        response.message = "token deleted"
        self._end_sessions(lambda used: used == token_id, caller.session_id)

    def _record(self, caller: Caller, operation: str, token: Token) -> None:
        metadata: dict[str, Any] = {
            "name": token.name,
            "principal_type": token.principal_type,
            "workspace_patterns": token.workspace_patterns,
            "scopes": token.scopes,
            "created_by": token.created_by,
            "expires_ms": token.expires_ms,
        }
        self._recorder.record(
            Event(
                kind="admin",
                operation=operation,
                **actor_of(caller.identity),
                resource_type="api_token",
                resource_id=token.id,
                session_id=caller.session_id,
                metadata=metadata,
            )
        )

    # -------------------------------------------------------------------------------------------------- tidying

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Forget tokens that ended long ago, for ever (weakness 39)."""
        task_status.started()
        while True:
            try:
                count = self.remove_dead()
            except StoreUnavailable:
                count = 0
            await trio.sleep(TIDY_S if count < REMOVED_AT_ONCE else 0)

    def remove_dead(self) -> int:
        """Some of the tokens that ended :data:`KEPT_MS` ago; returns how many.

        :raises StoreUnavailable: they are still there.
        """
        count = self._store.remove_dead(self._wall_clock() - KEPT_MS, REMOVED_AT_ONCE)
        if count:
            metadata = {"count": count}
            self._recorder.record(
                Event(kind="admin", operation="token_cleanup", resource_type="api_token", metadata=metadata)
            )
        return count


def _fits(pattern: str, kind: PrincipalType) -> bool:
    """Whether some identity of a type may match: a key that opens nothing is a mistake."""
    if not is_pattern(pattern):
        try:
            return parse_identity(pattern).kind is kind
        except InvalidIdentity:
            return False
    begin = literal_prefix(pattern)
    heads = [f"{prefix}::" for prefix in _PREFIXES[kind]]
    return any(begin.startswith(head) or head.startswith(begin) for head in heads)


_PREFIXES = {
    PrincipalType.AGENT: ("ag",),
    PrincipalType.TASK: ("tu", "ta"),
    PrincipalType.USER: ("us",),
    PrincipalType.ORCHESTRATOR: ("orc",),
    PrincipalType.WORKFLOW_ENGINE: ("wfe",),
    PrincipalType.METRICS_BRIDGE: ("metrics",),
    PrincipalType.BRIDGE: ("br",),
    PrincipalType.SERVICE: ("sv",),
}


def _in_doubt(request_id: str) -> tuple[bytes, ...]:
    return (token_frame(pb.TokenResponse(request_id=request_id, error=IN_DOUBT)),)


def _refused(message: str) -> Refusal:
    """A refusal whose text goes into the typed response; those have no code."""
    return Refusal("", message)
