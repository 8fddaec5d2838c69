-- +goose Up

-- Times are microseconds since 1970 in UTC. A hash is the SHA-256 of a bearer
-- value (32 bytes). Lists and identities are JSON.
--
-- The narrow, hot tables of tokens are clustered on their hash (WITHOUT ROWID);
-- rows as wide as an identity or a sealed request would make such a tree deep,
-- so the others keep their rowid.

CREATE TABLE logins (
    state      BLOB NOT NULL PRIMARY KEY,
    browser    BLOB NOT NULL,
    sealed     BLOB NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX logins_by_expiry ON logins (expires_at);

-- A code carries the grant that redeeming it creates.
CREATE TABLE codes (
    hash             BLOB NOT NULL PRIMARY KEY,
    grant_id         TEXT NOT NULL,
    client_id        TEXT NOT NULL,
    client_name      TEXT NOT NULL,
    identity         TEXT NOT NULL,
    scopes           TEXT NOT NULL,
    resource         TEXT NOT NULL,
    grant_created_at INTEGER NOT NULL,
    grant_expires_at INTEGER NOT NULL,
    redirect_uri     TEXT NOT NULL,
    challenge        TEXT NOT NULL,
    created_at       INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    used_at          INTEGER,
    failures         INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX codes_by_expiry ON codes (expires_at);

CREATE TABLE grants (
    id             TEXT NOT NULL PRIMARY KEY,
    client_id      TEXT NOT NULL,
    client_name    TEXT NOT NULL,
    identity       TEXT NOT NULL,
    scopes         TEXT NOT NULL,
    resource       TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    revoked_at     INTEGER,
    revoked_reason TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX grants_by_expiry ON grants (expires_at);
CREATE INDEX grants_revoked ON grants (revoked_at) WHERE revoked_at IS NOT NULL;

CREATE TABLE access_tokens (
    hash       BLOB NOT NULL PRIMARY KEY,
    grant_id   TEXT NOT NULL REFERENCES grants (id),
    generation INTEGER NOT NULL,
    scopes     TEXT NOT NULL,
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX access_tokens_by_grant ON access_tokens (grant_id);
CREATE INDEX access_tokens_by_expiry ON access_tokens (expires_at);

-- The successor of generation n is generation n + 1 of the same grant, so there
-- can never be two. first_used_at is when any token of the generation was first
-- used; rotated_at and sealed are set when the successor is stored.
CREATE TABLE refresh_tokens (
    hash          BLOB NOT NULL PRIMARY KEY,
    grant_id      TEXT NOT NULL REFERENCES grants (id),
    generation    INTEGER NOT NULL,
    issued_at     INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    first_used_at INTEGER,
    rotated_at    INTEGER,
    sealed        BLOB
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX refresh_tokens_by_generation ON refresh_tokens (grant_id, generation);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);

CREATE TABLE events (
    id       INTEGER PRIMARY KEY,
    time     INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    outcome  TEXT NOT NULL,
    reason   TEXT NOT NULL,
    tenant   TEXT NOT NULL,
    object   TEXT NOT NULL,
    grant_id TEXT NOT NULL,
    client   TEXT NOT NULL,
    tool     TEXT NOT NULL,
    address  TEXT NOT NULL,
    duration INTEGER NOT NULL
) STRICT;

-- The audit trail only grows: not even a mistake of ours may rewrite it.

-- +goose StatementBegin
CREATE TRIGGER events_never_change BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER events_never_go BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;
-- +goose StatementEnd
