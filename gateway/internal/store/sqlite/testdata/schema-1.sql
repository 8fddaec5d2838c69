-- What a gateway whose schema was version 1 left on disk: one person signed in
-- and refreshed once, a second code and a sign-in are open. Never edit this.

CREATE TABLE goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);

CREATE TABLE logins (
    state      BLOB NOT NULL PRIMARY KEY,
    browser    BLOB NOT NULL,
    sealed     BLOB NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX logins_by_expiry ON logins (expires_at);

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

CREATE TRIGGER events_never_change BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;

CREATE TRIGGER events_never_go BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;

INSERT INTO goose_db_version (id, version_id, is_applied, tstamp)
    VALUES (1, 0, 1, '2026-11-25 00:30:55');
INSERT INTO goose_db_version (id, version_id, is_applied, tstamp)
    VALUES (2, 1, 1, '2026-11-25 00:30:55');
INSERT INTO logins (state, browser, sealed, expires_at)
    VALUES (X'4BA69735CA53765ED6A709EDB56C6EA236B7193A3B29A6B390C346F0F4340E4E', X'D4C3E8A11256AB82A4FC72560EB4A2B0E87BAD820C290DD9B03616DE240AA6DB', X'7365616C6564', 1774753200000000);
INSERT INTO codes (hash, grant_id, client_id, client_name, identity, scopes, resource, grant_created_at, grant_expires_at, redirect_uri, challenge, created_at, expires_at, used_at, failures)
    VALUES (X'0E8F7F17837B687118DACE07FEEF40DBF4A3A0EE67114F74BD5168EF5F55B3E3', 'GRANT1', 'client', 'Cursor', '{"tid":"t","oid":"o","name":"Zoë","roles":["Mcp.User"]}', '["mcp","offline_access"]', 'https://gateway.example.com', 1774749600000000, 1774836000000000, 'http://127.0.0.1/cb', 'challenge', 1774749600000000, 1774749660000000, 1774749600000000, 0);
INSERT INTO codes (hash, grant_id, client_id, client_name, identity, scopes, resource, grant_created_at, grant_expires_at, redirect_uri, challenge, created_at, expires_at, used_at, failures)
    VALUES (X'550531708163EA1221F1EF8DAF5D0096D6F5FE496782F6172D0CC24D48050205', 'GRANT2', 'client', 'Cursor', '{"tid":"t","oid":"o","name":"Zoë","roles":["Mcp.User"]}', '["mcp","offline_access"]', 'https://gateway.example.com', 1774749600000000, 1774836000000000, 'http://127.0.0.1/cb', 'challenge', 1774749600000000, 1774749660000000, NULL, 0);
INSERT INTO grants (id, client_id, client_name, identity, scopes, resource, created_at, expires_at, revoked_at, revoked_reason)
    VALUES ('GRANT1', 'client', 'Cursor', '{"tid":"t","oid":"o","name":"Zoë","roles":["Mcp.User"]}', '["mcp","offline_access"]', 'https://gateway.example.com', 1774749600000000, 1774836000000000, NULL, '');
INSERT INTO access_tokens (hash, grant_id, generation, scopes, issued_at, expires_at)
    VALUES (X'11641618C40011F6F44D7321ED8B861D494834B6B792B89792C3CB9949B68B40', 'GRANT1', 0, '["mcp","offline_access"]', 1774749600000000, 1774750200000000);
INSERT INTO access_tokens (hash, grant_id, generation, scopes, issued_at, expires_at)
    VALUES (X'58E6F62358493B59A1507EDF4D1E94E6E241BD48D82BC6E1739E329E1C44EC41', 'GRANT1', 1, '["mcp","offline_access"]', 1774749600000000, 1774750200000000);
INSERT INTO refresh_tokens (hash, grant_id, generation, issued_at, expires_at, first_used_at, rotated_at, sealed)
    VALUES (X'B5BAC0CB1025064A069B66A8A42597D244C328ECAD8EFBC30A81D117E0E9F0C5', 'GRANT1', 1, 1774749600000000, 1774821600000000, NULL, NULL, NULL);
INSERT INTO refresh_tokens (hash, grant_id, generation, issued_at, expires_at, first_used_at, rotated_at, sealed)
    VALUES (X'CCDBD43396ECA4124F9A7BCF165E6ADEEAF98B7B96B55D061CC7D7779E276F22', 'GRANT1', 0, 1774749600000000, 1774821600000000, 1774749600000000, 1774749600000000, X'7365616C656420737563636573736F72');
INSERT INTO events (id, time, kind, outcome, reason, tenant, object, grant_id, client, tool, address, duration)
    VALUES (1, 1774749600000000, 'login', 'ok', '', 't', 'o', '', '', '', '', 0);
