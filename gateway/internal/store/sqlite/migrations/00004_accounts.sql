-- +goose Up

-- What Microsoft gave for a person. claimed_until is set while somebody asks it.

CREATE TABLE accounts (
    tenant        TEXT NOT NULL,
    object        TEXT NOT NULL,
    sealed        BLOB NOT NULL,
    version       INTEGER NOT NULL,
    checked_at    INTEGER NOT NULL,
    check_at      INTEGER NOT NULL,
    claimed_until INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, object)
) STRICT;

CREATE INDEX accounts_by_check ON accounts (checked_at);

-- A person's grants follow what Microsoft says of them.
CREATE INDEX grants_by_person ON grants (identity ->> 'tid', identity ->> 'oid');
