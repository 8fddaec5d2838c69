-- +goose Up

-- Devices that wait until a person has signed in for them elsewhere. user_code is
-- the hash of what people type; browser is the hash of the cookie of the one that
-- may finish, once there is one. When approved_at is set, a row of codes has the
-- same hash. poll_interval is in microseconds, and scopes are JSON.
CREATE TABLE devices (
    hash          BLOB NOT NULL PRIMARY KEY,
    user_code     BLOB NOT NULL UNIQUE,
    client_id     TEXT NOT NULL,
    client_name   TEXT NOT NULL,
    scopes        TEXT NOT NULL,
    address       TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    poll_interval INTEGER NOT NULL,
    polled_at     INTEGER,
    browser       BLOB,
    approved_at   INTEGER,
    denied_at     INTEGER
) STRICT;

CREATE INDEX devices_by_expiry ON devices (expires_at);
