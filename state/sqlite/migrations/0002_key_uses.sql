-- The last successful cryptographic operation with each key that was used.
CREATE TABLE key_uses (
  region     TEXT NOT NULL,
  key_id     TEXT NOT NULL,
  action     TEXT NOT NULL,
  used_at    INTEGER NOT NULL,
  event_id   TEXT NOT NULL,
  request_id TEXT NOT NULL,
  PRIMARY KEY (region, key_id),
  FOREIGN KEY (region, key_id) REFERENCES keys (region, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
