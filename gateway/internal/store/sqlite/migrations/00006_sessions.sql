-- +goose Up

-- Sessions at Microsoft by which something is remembered. ended_at is set when
-- the person signs out there.

CREATE TABLE sessions (
    id         BLOB NOT NULL,
    tenant     TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    ended_at   INTEGER,
    PRIMARY KEY (id, tenant)
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_expiry ON sessions (expires_at);
