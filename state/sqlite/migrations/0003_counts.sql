-- Counting up to fifty thousand grants for each new one would cost more than making it.
CREATE TABLE grant_counts (
  region TEXT NOT NULL,
  key_id TEXT NOT NULL,
  n      INTEGER NOT NULL,
  PRIMARY KEY (region, key_id)
) STRICT, WITHOUT ROWID;
INSERT INTO grant_counts (region, key_id, n) SELECT region, key_id, COUNT(*) FROM grants GROUP BY region, key_id;
CREATE TRIGGER grants_inserted AFTER INSERT ON grants BEGIN
  INSERT INTO grant_counts (region, key_id, n) VALUES (NEW.region, NEW.key_id, 1)
    ON CONFLICT (region, key_id) DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER grants_deleted AFTER DELETE ON grants BEGIN
  UPDATE grant_counts SET n = n - 1 WHERE region = OLD.region AND key_id = OLD.key_id;
  DELETE FROM grant_counts WHERE region = OLD.region AND key_id = OLD.key_id AND n = 0;
END;

-- Rows of the ledger that are not ended. The others stay for ever: a key whose material is imported again every day has a
-- wrapping key's row for each time.
CREATE INDEX materials_open ON materials (key_arn, planned_at, id) WHERE state NOT IN ('destroyed', 'resolved');
