-- +goose Up
-- Times are microseconds since 1970, UTC. Bearer values are SHA-256.

CREATE TABLE logins (
    state      BLOB    NOT NULL PRIMARY KEY,
    browser    BLOB    NOT NULL,
    sealed     BLOB    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX logins_expires ON logins (expires_at);

CREATE TABLE grants (
    id             TEXT    NOT NULL PRIMARY KEY,
    client_id      TEXT    NOT NULL,
    client_name    TEXT    NOT NULL,
    identity       TEXT    NOT NULL, -- JSON, store.Identity
    tenant         TEXT    NOT NULL, -- of identity, to search by
    object         TEXT    NOT NULL,
    scopes         TEXT    NOT NULL, -- separated by spaces
    resource       TEXT    NOT NULL,
    created_at     INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    revoked_at     INTEGER,
    revoked_reason TEXT    NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_person ON grants (tenant, object);
CREATE INDEX grants_expires ON grants (expires_at);

CREATE TABLE codes (
    hash         BLOB    NOT NULL PRIMARY KEY,
    grant_record TEXT    NOT NULL, -- JSON, the store.Grant that redeeming creates
    redirect_uri TEXT    NOT NULL,
    challenge    TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    used_at      INTEGER,
    failures     INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX codes_expires ON codes (expires_at);

-- One row a generation of a grant's refresh token. A grant without refresh
-- tokens has generation 0 with no hash, so that its first use is recorded too.
CREATE TABLE generations (
    grant_id      TEXT    NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
    generation    INTEGER NOT NULL,
    refresh_hash  BLOB    UNIQUE,
    issued_at     INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    first_used_at INTEGER, -- a token of this generation was used
    rotated_at    INTEGER, -- the refresh token was exchanged
    sealed        BLOB,    -- its successor, sealed under a key it yields
    PRIMARY KEY (grant_id, generation)
) STRICT, WITHOUT ROWID;

CREATE TABLE access_tokens (
    hash       BLOB    NOT NULL PRIMARY KEY,
    grant_id   TEXT    NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    scopes     TEXT    NOT NULL,
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX access_tokens_grant ON access_tokens (grant_id);
CREATE INDEX access_tokens_expires ON access_tokens (expires_at);

CREATE TABLE events (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    time        INTEGER NOT NULL,
    kind        TEXT    NOT NULL,
    outcome     TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    tenant      TEXT    NOT NULL,
    object      TEXT    NOT NULL,
    grant_id    TEXT    NOT NULL,
    client      TEXT    NOT NULL,
    tool        TEXT    NOT NULL,
    address     TEXT    NOT NULL,
    duration_us INTEGER NOT NULL
) STRICT;

-- +goose StatementBegin
CREATE TRIGGER events_no_update BEFORE UPDATE ON events BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER events_no_delete BEFORE DELETE ON events BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;
-- +goose StatementEnd
