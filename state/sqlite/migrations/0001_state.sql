-- What is asked for by query has a column; data is a JSON document of the rest. Times are nanoseconds since 1970, UTC;
-- NULL is none.
CREATE TABLE stores (
  region     TEXT NOT NULL,
  id         TEXT NOT NULL,
  account    TEXT NOT NULL,
  name       TEXT NOT NULL,
  type       TEXT NOT NULL,
  conn       TEXT NOT NULL,
  cluster_id TEXT,
  xks_uri    TEXT, -- endpoint and path
  created_at INTEGER,
  revision   INTEGER NOT NULL,
  data       TEXT NOT NULL,
  PRIMARY KEY (region, id)
) STRICT;
CREATE UNIQUE INDEX stores_name ON stores (account, region, name);
CREATE UNIQUE INDEX stores_cluster ON stores (account, region, cluster_id) WHERE cluster_id IS NOT NULL;
CREATE UNIQUE INDEX stores_xks_uri ON stores (region, xks_uri) WHERE xks_uri IS NOT NULL;

-- Keys, with their policy.
CREATE TABLE keys (
  region        TEXT NOT NULL,
  id            TEXT NOT NULL,
  account       TEXT NOT NULL,
  origin        TEXT NOT NULL,
  spec          TEXT NOT NULL,
  usage         TEXT NOT NULL,
  state         TEXT NOT NULL CHECK (state <> 'Unavailable'), -- derived from the store's connection, never stored
  store_id      TEXT,
  xks_key_id    TEXT,
  created_at    INTEGER,
  deletion_at   INTEGER,
  rotation_next INTEGER,
  valid_to      INTEGER, -- the earliest expiry of its imported material
  policy        TEXT NOT NULL,
  revision      INTEGER NOT NULL,
  data          TEXT NOT NULL,
  PRIMARY KEY (region, id),
  FOREIGN KEY (region, store_id) REFERENCES stores (region, id)
) STRICT;
CREATE UNIQUE INDEX keys_xks ON keys (region, store_id, xks_key_id) WHERE xks_key_id IS NOT NULL;
CREATE INDEX keys_store ON keys (region, store_id) WHERE store_id IS NOT NULL;
CREATE INDEX keys_deletion ON keys (deletion_at, region, id) WHERE state = 'PendingDeletion';
CREATE INDEX keys_rotation ON keys (rotation_next, region, id) WHERE state = 'Enabled' AND rotation_next IS NOT NULL;
CREATE INDEX keys_expiry ON keys (valid_to, region, id) WHERE valid_to IS NOT NULL;

-- Counting a hundred thousand rows for each new key would cost more than making it.
CREATE TABLE key_counts (
  region TEXT NOT NULL,
  state  TEXT NOT NULL,
  n      INTEGER NOT NULL,
  PRIMARY KEY (region, state)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER keys_inserted AFTER INSERT ON keys BEGIN
  INSERT INTO key_counts (region, state, n) VALUES (NEW.region, NEW.state, 1)
    ON CONFLICT (region, state) DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER keys_moved AFTER UPDATE OF state ON keys WHEN NEW.state <> OLD.state BEGIN
  UPDATE key_counts SET n = n - 1 WHERE region = OLD.region AND state = OLD.state;
  INSERT INTO key_counts (region, state, n) VALUES (NEW.region, NEW.state, 1)
    ON CONFLICT (region, state) DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER keys_deleted AFTER DELETE ON keys BEGIN
  UPDATE key_counts SET n = n - 1 WHERE region = OLD.region AND state = OLD.state;
END;

CREATE TABLE aliases (
  region     TEXT NOT NULL,
  name       TEXT NOT NULL,
  account    TEXT NOT NULL,
  target     TEXT NOT NULL,
  created_at INTEGER,
  updated_at INTEGER,
  PRIMARY KEY (region, name),
  FOREIGN KEY (region, target) REFERENCES keys (region, id)
) STRICT;
CREATE INDEX aliases_target ON aliases (region, target, name);

CREATE TABLE grants (
  region     TEXT NOT NULL,
  key_id     TEXT NOT NULL,
  id         TEXT NOT NULL,
  name       TEXT,
  grantee    TEXT,
  retiring   TEXT,
  token      TEXT,
  created_at INTEGER,
  data       TEXT NOT NULL,
  PRIMARY KEY (region, key_id, id),
  FOREIGN KEY (region, key_id) REFERENCES keys (region, id)
) STRICT;
CREATE UNIQUE INDEX grants_token ON grants (region, token) WHERE token IS NOT NULL;
CREATE INDEX grants_name ON grants (region, key_id, name) WHERE name IS NOT NULL;
CREATE INDEX grants_grantee ON grants (region, key_id, grantee, id) WHERE grantee IS NOT NULL;
CREATE INDEX grants_retiring ON grants (region, retiring, key_id, id) WHERE retiring IS NOT NULL;

-- The material ledger. It outlives keys and stores, so it refers to none of them.
CREATE TABLE materials (
  id         TEXT NOT NULL PRIMARY KEY, -- CKA_ID, lower-case hex
  state      TEXT NOT NULL,
  kind       TEXT NOT NULL,
  key_arn    TEXT NOT NULL,
  region     TEXT NOT NULL,
  store_id   TEXT,
  planned_at INTEGER,
  revision   INTEGER NOT NULL,
  data       TEXT NOT NULL
) STRICT;
CREATE INDEX materials_state ON materials (state, id);
CREATE INDEX materials_key ON materials (key_arn, planned_at, id);
CREATE TRIGGER materials_kept BEFORE DELETE ON materials BEGIN
  SELECT RAISE(ABORT, 'the material ledger keeps every row');
END;
CREATE TABLE material_counts (
  state TEXT NOT NULL PRIMARY KEY,
  n     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER materials_inserted AFTER INSERT ON materials BEGIN
  INSERT INTO material_counts (state, n) VALUES (NEW.state, 1) ON CONFLICT (state) DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER materials_moved AFTER UPDATE OF state ON materials WHEN NEW.state <> OLD.state BEGIN
  UPDATE material_counts SET n = n - 1 WHERE state = OLD.state;
  INSERT INTO material_counts (state, n) VALUES (NEW.state, 1) ON CONFLICT (state) DO UPDATE SET n = n + 1;
END;

CREATE TABLE tombstones (
  key_arn    TEXT NOT NULL,
  deleted_at INTEGER NOT NULL,
  data       TEXT NOT NULL,
  PRIMARY KEY (key_arn, deleted_at)
) STRICT;
CREATE INDEX tombstones_deleted ON tombstones (deleted_at, key_arn);

CREATE TABLE principals (
  arn        TEXT NOT NULL PRIMARY KEY,
  kind       TEXT NOT NULL,
  name       TEXT NOT NULL,
  disabled   INTEGER NOT NULL,
  created_at INTEGER,
  revision   INTEGER NOT NULL,
  data       TEXT NOT NULL
) STRICT;
CREATE TABLE credentials (
  access_key_id TEXT NOT NULL PRIMARY KEY,
  principal_arn TEXT NOT NULL REFERENCES principals (arn),
  sealed_secret BLOB NOT NULL,
  disabled      INTEGER NOT NULL,
  created_at    INTEGER
) STRICT;
CREATE INDEX credentials_principal ON credentials (principal_arn, access_key_id);

CREATE TABLE settings (
  name  TEXT NOT NULL PRIMARY KEY,
  value BLOB NOT NULL
) STRICT;
