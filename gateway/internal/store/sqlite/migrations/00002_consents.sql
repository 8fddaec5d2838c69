-- +goose Up

-- What a person has allowed a client: the client by the hash of its id, which
-- may be 2 KB long. Scopes are JSON.
CREATE TABLE consents (
    tenant       TEXT NOT NULL,
    object       TEXT NOT NULL,
    client       BLOB NOT NULL,
    redirect_uri TEXT NOT NULL,
    scopes       TEXT NOT NULL,
    expires_at   INTEGER NOT NULL,
    PRIMARY KEY (tenant, object, client, redirect_uri)
) STRICT;

CREATE INDEX consents_by_expiry ON consents (expires_at);

-- Assertions by which clients identified themselves: each is good once.
CREATE TABLE assertions (
    hash       BLOB NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX assertions_by_expiry ON assertions (expires_at);
