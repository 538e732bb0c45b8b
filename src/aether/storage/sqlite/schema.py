"""The tables of the local tier, and how a file of an earlier version gets them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from aether.errors import StoreUnavailable

__all__ = ["check_version", "migrate"]

MIGRATIONS = (
    """
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE topics (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE log (
    id INTEGER PRIMARY KEY, topic INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    time_ms INTEGER NOT NULL, data BLOB NOT NULL
);
CREATE INDEX log_by_topic ON log (topic, first);
CREATE TABLE cursors (
    topic TEXT NOT NULL, consumer TEXT NOT NULL, position INTEGER NOT NULL, used_ms INTEGER NOT NULL,
    PRIMARY KEY (topic, consumer)
) WITHOUT ROWID;
CREATE TABLE namespaces (
    id INTEGER PRIMARY KEY, scope INTEGER NOT NULL, implementation TEXT NOT NULL, specifier TEXT NOT NULL,
    user TEXT NOT NULL, workspace TEXT NOT NULL, UNIQUE (scope, implementation, specifier, user, workspace)
);
CREATE TABLE kv (
    namespace INTEGER NOT NULL, key BLOB NOT NULL, kind INTEGER NOT NULL, expires_ms INTEGER NOT NULL,
    value BLOB NOT NULL, PRIMARY KEY (namespace, key)
) WITHOUT ROWID;
CREATE INDEX kv_by_expiry ON kv (expires_ms) WHERE expires_ms > 0;
CREATE TABLE locks (identity TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
""",
    """
CREATE TABLE records (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, record TEXT NOT NULL, UNIQUE (kind, key)
);
""",
    """
CREATE TABLE audit (
    number INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, kind TEXT NOT NULL, operation TEXT NOT NULL,
    success INTEGER NOT NULL, actor_type TEXT NOT NULL, actor_id TEXT NOT NULL, canonical_id TEXT NOT NULL,
    resource_type TEXT NOT NULL, resource_id TEXT NOT NULL, workspace TEXT NOT NULL, session_id TEXT NOT NULL,
    gateway_id TEXT NOT NULL, error TEXT NOT NULL, metadata TEXT NOT NULL, subject_type TEXT NOT NULL,
    subject_id TEXT NOT NULL, root_subject_type TEXT NOT NULL, root_subject_id TEXT NOT NULL,
    authority_mode TEXT NOT NULL, grant_id TEXT NOT NULL, root_grant_id TEXT NOT NULL, parent_grant_id TEXT NOT NULL,
    source TEXT NOT NULL, hash TEXT NOT NULL
);
CREATE INDEX audit_by_time ON audit (time_us);
CREATE INDEX audit_by_workspace ON audit (workspace, number);
CREATE INDEX audit_by_principal ON audit (canonical_id, number);
CREATE INDEX audit_by_actor ON audit (actor_id, number);
CREATE INDEX audit_by_kind ON audit (kind, number);
CREATE INDEX audit_of_failures ON audit (number) WHERE success = 0;
""",
    """
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY, task_id TEXT NOT NULL UNIQUE, workspace TEXT NOT NULL, status TEXT NOT NULL,
    updated_us INTEGER NOT NULL, next_retry_ms INTEGER NOT NULL, creator TEXT NOT NULL, assigned_to TEXT NOT NULL,
    bound TEXT NOT NULL, parent_task_id TEXT NOT NULL, root_task_id TEXT NOT NULL, correlation_id TEXT NOT NULL,
    context_id TEXT NOT NULL, subject_id TEXT NOT NULL, idempotency TEXT NOT NULL, record TEXT NOT NULL
);
CREATE INDEX tasks_by_change ON tasks (updated_us);
CREATE INDEX tasks_by_workspace ON tasks (workspace, updated_us);
CREATE INDEX tasks_by_live_status ON tasks (status, updated_us)
WHERE status NOT IN ('cancelled', 'completed', 'failed', 'rejected');
CREATE INDEX tasks_by_creator ON tasks (creator);
CREATE INDEX tasks_by_assignee ON tasks (assigned_to) WHERE assigned_to != '';
CREATE INDEX tasks_by_worker ON tasks (bound) WHERE bound != '';
CREATE INDEX tasks_by_parent ON tasks (parent_task_id) WHERE parent_task_id != '';
CREATE INDEX tasks_by_root ON tasks (root_task_id);
CREATE INDEX tasks_by_correlation ON tasks (correlation_id) WHERE correlation_id != '';
CREATE INDEX tasks_by_context ON tasks (context_id) WHERE context_id != '';
CREATE INDEX tasks_by_subject ON tasks (subject_id) WHERE subject_id != '';
CREATE INDEX tasks_by_idempotency ON tasks (idempotency) WHERE idempotency != '';
CREATE INDEX tasks_to_retry ON tasks (next_retry_ms) WHERE next_retry_ms > 0;
CREATE TABLE task_payloads (task_id TEXT PRIMARY KEY, payload BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE task_events (
    number INTEGER PRIMARY KEY, task_id TEXT NOT NULL, time_ms INTEGER NOT NULL, event TEXT NOT NULL
);
CREATE INDEX task_events_by_task ON task_events (task_id, number);
DROP INDEX audit_by_actor;
CREATE INDEX audit_by_actor ON audit (actor_id, number) WHERE actor_id != canonical_id;
""",
    """
CREATE TABLE journal (id INTEGER PRIMARY KEY, rows BLOB NOT NULL);
""",
    """
ALTER TABLE namespaces ADD COLUMN account TEXT NOT NULL DEFAULT '';
UPDATE namespaces SET account = workspace;
""",
)
"""Scripts that bring a database from version *n*, as ``PRAGMA user_version`` tells, to *n + 1*. Never changed, only
appended to."""


def check_version(connection: sqlite3.Connection, path: Path) -> int:
    """The version of a file.

    :raises StoreUnavailable: it is newer than this program.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise StoreUnavailable(f"{path} was written by a newer version")
    return int(version)


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring a file of an earlier version to this one, in one transaction."""
    if scripts := MIGRATIONS[version:]:
        connection.executescript(f"BEGIN;{';'.join(scripts)};PRAGMA user_version={len(MIGRATIONS)};COMMIT;")
