package sqlite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/state"
	"github.com/strongroom/strongroom/state/sqlite"
	"github.com/strongroom/strongroom/state/statetest"
)

// sizes are the numbers of keys, each with an alias and a ledger row, that lists and lookups are measured at.
var sizes = []int{1_000, 100_000}

// templates are filled databases that benchmarks copy.
var templates = struct {
	sync.Mutex
	dir string
}{}

func TestMain(m *testing.M) {
	code := m.Run()
	if templates.dir != "" {
		_ = os.RemoveAll(templates.dir)
	}
	os.Exit(code)
}

// filled makes a database of n keys and gives its path, closed.
func filled(b *testing.B, n int) string {
	b.Helper()
	templates.Lock()
	defer templates.Unlock()
	if templates.dir == "" {
		dir, err := os.MkdirTemp("", "state-bench-")
		require.NoError(b, err)
		templates.dir = dir
	}
	template := filepath.Join(templates.dir, fmt.Sprintf("%d.db", n))
	if _, err := os.Stat(template); err != nil {
		fill(b, template, n)
	}
	content, err := os.ReadFile(template)
	require.NoError(b, err)
	path := filepath.Join(b.TempDir(), "state.db")
	require.NoError(b, os.WriteFile(path, content, 0o600))
	return path
}

func fill(b *testing.B, path string, n int) {
	db := statetest.OpenAt(b, path)
	const batch = 5_000
	for from := 0; from < n; from += batch {
		require.NoError(b, db.Update(b.Context(), func(tx keystore.Tx) error {
			for i := from; i < min(n, from+batch); i++ {
				if err := createKey(tx, i); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	require.NoError(b, db.Close())
}

// createKey is what the last transaction of CreateKey does, with an alias.
func createKey(tx keystore.Tx, n int) error {
	if err := tx.InsertKey(statetest.Key(statetest.Region, n)); err != nil {
		return err
	}
	if err := tx.InsertMaterial(statetest.Material(n, keystore.MaterialLive)); err != nil {
		return err
	}
	return tx.InsertAlias(statetest.Alias(statetest.Region, fmt.Sprintf("alias/%08d", n), statetest.KeyID(n)))
}

func forSizes(b *testing.B, fn func(b *testing.B, db *state.DB, n int)) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			db := statetest.OpenAt(b, filled(b, n))
			b.ResetTimer()
			fn(b, db, n)
		})
	}
}

func BenchmarkLookupKeyHit(b *testing.B) {
	forSizes(b, func(b *testing.B, db *state.DB, n int) {
		ids := make([]keystore.KeyID, 1_000)
		for i := range ids {
			ids[i] = statetest.KeyID(i)
			_, err := db.LookupKey(b.Context(), statetest.Region, ids[i])
			require.NoError(b, err)
		}
		ctx := b.Context()
		b.ReportAllocs()
		b.ResetTimer()
		for i := 0; b.Loop(); i++ {
			if _, err := db.LookupKey(ctx, statetest.Region, ids[i%len(ids)]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// Readers on every core, while a writer commits without pause.
func BenchmarkLookupKeyHitUnderWrites(b *testing.B) {
	db := statetest.Open(b)
	require.NoError(b, db.Update(b.Context(), func(tx keystore.Tx) error { return createKey(tx, 1) }))
	var over atomic.Bool
	var writer sync.WaitGroup
	ctx := b.Context()
	writer.Go(func() {
		for !over.Load() {
			_ = db.Update(ctx, func(tx keystore.Tx) error {
				k, err := tx.Key(statetest.Region, statetest.KeyID(1))
				if err != nil {
					return err
				}
				return tx.UpdateKey(k)
			})
		}
	})
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := db.LookupKey(ctx, statetest.Region, statetest.KeyID(1)); err != nil {
				b.Error(err)
			}
		}
	})
	over.Store(true)
	writer.Wait()
}

func BenchmarkLookupOthersHit(b *testing.B) {
	db := statetest.Open(b)
	id, store := statetest.KeyID(1), statetest.Store(statetest.Region, 1)
	require.NoError(b, db.Update(b.Context(), func(tx keystore.Tx) error {
		if err := tx.InsertStore(store); err != nil {
			return err
		}
		return createKey(tx, 1)
	}))
	ctx := b.Context()
	for name, fn := range map[string]func() error{
		"alias":  func() error { _, err := db.LookupAlias(ctx, statetest.Region, "alias/00000001"); return err },
		"store":  func() error { _, err := db.LookupStore(ctx, statetest.Region, store.ID); return err },
		"grants": func() error { _, err := db.LookupGrants(ctx, statetest.Region, id, statetest.Grantee); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := fn(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A key that is not in memory: one query.
func BenchmarkLookupKeyMiss(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			db, err := sqlite.Open(b.Context(), filled(b, n), sqlite.Options{CacheBytes: 1}) // keeps nothing
			require.NoError(b, err)
			defer db.Close()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := db.LookupKey(b.Context(), statetest.Region, statetest.KeyID(i*7919%n)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The last transaction of CreateKey, on disk when it returns: with one caller, and with sixteen.
func BenchmarkCreateKey(b *testing.B) {
	for _, callers := range []int{1, 16} {
		for _, n := range sizes {
			b.Run(fmt.Sprintf("callers=%d/keys=%d", callers, n), func(b *testing.B) {
				db := statetest.OpenAt(b, filled(b, n))
				var next atomic.Int64
				next.Store(int64(n))
				b.SetParallelism(callers)
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := db.Update(b.Context(), func(tx keystore.Tx) error {
							if _, err := tx.CountKeys(statetest.Region); err != nil {
								return err
							}
							return createKey(tx, int(next.Add(1)))
						}); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
}

func BenchmarkLists(b *testing.B) {
	for name, fn := range map[string]func(tx keystore.Tx, n int) error{
		"ListKeys 100": func(tx keystore.Tx, n int) error {
			_, err := tx.KeyIDs(statetest.Region, statetest.KeyID(n/2), 100)
			return err
		},
		"ListAliases 100": func(tx keystore.Tx, n int) error {
			_, err := tx.Aliases(statetest.Region, "", "alias/0000", 100)
			return err
		},
		"aliases of key": func(tx keystore.Tx, n int) error {
			_, err := tx.Aliases(statetest.Region, statetest.KeyID(n/2), "", 100)
			return err
		},
		"count keys": func(tx keystore.Tx, n int) error { _, err := tx.CountKeys(statetest.Region); return err },
		"due keys":   func(tx keystore.Tx, n int) error { _, err := tx.DueKeys(time.Now(), 100); return err },
	} {
		b.Run(name, func(b *testing.B) {
			forSizes(b, func(b *testing.B, db *state.DB, n int) {
				b.ReportAllocs()
				for b.Loop() {
					if err := db.View(b.Context(), func(tx keystore.Tx) error { return fn(tx, n) }); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// Open, and the first lookup.
func BenchmarkOpen(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			path := filled(b, n)
			for b.Loop() {
				db, err := sqlite.Open(b.Context(), path, sqlite.Options{})
				require.NoError(b, err)
				_, err = db.LookupKey(b.Context(), statetest.Region, statetest.KeyID(n/2))
				require.NoError(b, err)
				require.NoError(b, db.Close())
			}
		})
	}
}
