-- +goose Up

-- Whom and what an administrator has disabled. The names are of the latest
-- grant at that time, for display: the grants themselves are collected.

CREATE TABLE disabled_users (
    tenant      TEXT NOT NULL,
    object      TEXT NOT NULL,
    name        TEXT NOT NULL,
    username    TEXT NOT NULL,
    disabled_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, object)
) STRICT, WITHOUT ROWID;

CREATE TABLE disabled_clients (
    client_id   TEXT NOT NULL PRIMARY KEY,
    name        TEXT NOT NULL,
    disabled_at INTEGER NOT NULL
) STRICT;
