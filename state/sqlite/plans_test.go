package sqlite_test

import (
	"context"
	"database/sql/driver"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/state/sqlite"
	"github.com/strongroom/strongroom/state/statetest"
)

// queries collects every statement that the ports run.
type queries struct {
	mu   sync.Mutex
	seen map[string]bool
}

type listeningConnector struct {
	driver.Connector
	queries *queries
}

func (c listeningConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	return &listeningConn{conn, c.queries}, err
}

type listeningConn struct {
	driver.Conn
	queries *queries
}

func (c *listeningConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	c.queries.mu.Lock()
	c.queries.seen[query] = true
	c.queries.mu.Unlock()
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
}

// wholeTables are the statements that read all of a table that stays small, and may.
var wholeTables = []string{
	"SELECT region, id, account, name, type, conn, cluster_id, created_at, revision, data FROM stores",
	"SELECT region, id, account, name, type, conn, cluster_id, created_at, revision, data FROM stores WHERE id > ? ORDER BY id, region LIMIT ?",
	"SELECT arn, kind, name, disabled, created_at, revision, data FROM principals ORDER BY arn",
	"SELECT state, SUM(n) FROM key_counts WHERE n > 0 GROUP BY state",
	"SELECT state, n FROM material_counts WHERE n > 0",
}

// No statement may read a table through or sort it: that would grow with the keys that exist.
func TestQueryPlans(t *testing.T) {
	q := &queries{seen: map[string]bool{}}
	wrap := func(c driver.Connector) driver.Connector { return listeningConnector{c, q} }
	statetest.Run(t, func(t *testing.T) keystore.DB {
		db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Wrapped(sqlite.Options{Create: true}, wrap))
		require.NoError(t, err)
		t.Cleanup(func() { _ = db.Close() })
		return db
	})
	raw := rawDB(t, made(t))
	checked := 0
	for query := range q.seen {
		verb, _, _ := strings.Cut(query, " ")
		if !slices.Contains([]string{"SELECT", "UPDATE", "DELETE"}, verb) || slices.Contains(wholeTables, query) || strings.Contains(query, "pragma_") {
			continue
		}
		checked++
		args := make([]any, strings.Count(query, "?"))
		rows, err := raw.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
		require.NoError(t, err, query)
		for rows.Next() {
			var id, parent, unused int
			var detail string
			require.NoError(t, rows.Scan(&id, &parent, &unused, &detail))
			assert.NotContains(t, detail, "TEMP B-TREE", query)
			// A scan in the order of an index is a search that a LIMIT ends.
			if strings.HasPrefix(detail, "SCAN") && !strings.Contains(query, "LIMIT") {
				assert.Fail(t, "reads a whole table", "%s: %s", query, detail)
			}
		}
		require.NoError(t, rows.Close())
	}
	assert.Greater(t, checked, 40)
	for query := range q.seen {
		// What is asked for with each new key or grant is a number that is kept.
		assert.NotRegexp(t, `^SELECT COUNT\(.*FROM (keys WHERE region = \?$|grants|materials)`, query)
	}
}
