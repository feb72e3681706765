package grants_test

import (
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/grants"
	"github.com/strongroom/strongroom/state/statetest"
)

// grantOn makes the n-th grant of a benchmark.
func grantOn(id keystore.KeyID, grantee string, n int) *keystore.Grant {
	return &keystore.Grant{ID: fmt.Sprintf("%064x", n), KeyID: id, Region: region, Name: fmt.Sprint("n", n), Grantee: grantee, Retiring: carol,
		Issuer: keystore.RootARN(account), IssuingPrincipal: keystore.RootARN(account), Operations: []string{"Decrypt", "Encrypt"},
		Created: fixedClock{}.Now(), ParametersDigest: fmt.Sprint(n)}
}

// fill runs insert for 0 to n-1 in transactions of bearable size.
func fill(b *testing.B, db keystore.DB, n int, insert func(tx keystore.Tx, i int) error) {
	b.Helper()
	const batch = 5_000
	for from := 0; from < n; from += batch {
		require.NoError(b, db.Update(b.Context(), func(tx keystore.Tx) error {
			for i := from; i < min(n, from+batch); i++ {
				if err := insert(tx, i); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

// BenchmarkGrantsOfManyKeys: lists and decisions where every key of a Region has a grant, all with one retiring principal.
func BenchmarkGrantsOfManyKeys(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		db := statetest.Open(b)
		keys := make([]*keystore.Key, n)
		fill(b, db, n, func(tx keystore.Tx, i int) error {
			id, err := keystore.NewKeyID(rand.Reader, false)
			if err != nil {
				return err
			}
			keys[i] = &keystore.Key{ID: id, Account: account, Region: region, Origin: keystore.OriginKMS, Spec: keystore.SymmetricDefault,
				Usage: keystore.UsageEncryptDecrypt, State: keystore.Enabled, Created: fixedClock{}.Now(), Policy: access.DefaultPolicy(account)}
			if err := tx.InsertKey(keys[i]); err != nil {
				return err
			}
			return tx.InsertGrant(grantOn(id, alice, i))
		})
		gate := access.New(access.Config{Directory: db})
		s := grants.New(grants.Config{DB: db, Resolver: connected{}, Gate: gate, Clock: fixedClock{}, Random: rand.Reader})
		run := func(name string, fn func(i int) error) {
			b.Run(fmt.Sprintf("keys=%d/%s", n, name), func(b *testing.B) {
				for i := 0; b.Loop(); i++ {
					if err := fn(i); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		run("ListGrants", func(i int) error {
			_, _, _, err := s.ListGrants(b.Context(), root(), &grants.ListInput{KeyID: string(keys[i%1000].ID)})
			return err
		})
		run("ListRetirableGrants", func(int) error {
			_, _, err := s.ListRetirableGrants(b.Context(), root(), &grants.RetirableInput{RetiringPrincipal: carol})
			return err
		})
		run("Authorize", func(i int) error {
			r := access.Request{Caller: caller(alice), Action: keystore.ActionEncrypt, Key: keys[i%1000], Now: fixedClock{}.Now()}
			return gate.Admit(b.Context(), &r)
		})
	}
}

// BenchmarkKeyWithManyGrants: one key with as many grants as AWS allows.
func BenchmarkKeyWithManyGrants(b *testing.B) {
	for _, c := range []struct {
		name string
		n    int
		to   func(i int) string
	}{
		{"one", 1, func(int) string { return alice }},
		{"to 50000 grantees", 50_000, func(i int) string { return fmt.Sprintf("%s%d", alice[:len(alice)-1], i) }},
		{"to one grantee", 50_000, func(int) string { return alice }},
	} {
		db := statetest.Open(b)
		id, err := keystore.NewKeyID(rand.Reader, false)
		require.NoError(b, err)
		k := &keystore.Key{ID: id, Account: account, Region: region, Origin: keystore.OriginKMS, Spec: keystore.SymmetricDefault,
			Usage: keystore.UsageEncryptDecrypt, State: keystore.Enabled, Created: fixedClock{}.Now(), Policy: access.DefaultPolicy(account)}
		require.NoError(b, db.Update(b.Context(), func(tx keystore.Tx) error { return tx.InsertKey(k) }))
		fill(b, db, c.n, func(tx keystore.Tx, i int) error {
			g := grantOn(id, c.to(i), i)
			if c.n > 1 { // what tells the grants of one grantee apart
				g.ContextEquals = map[string]string{"volume": fmt.Sprint("vol-", i)}
			}
			return tx.InsertGrant(g)
		})
		gate := access.New(access.Config{Directory: db})
		s := grants.New(grants.Config{DB: db, Resolver: connected{}, Gate: gate, Clock: fixedClock{}, Random: rand.Reader, PerKey: 1 << 20})
		last := c.n - 1
		r := access.Request{Caller: caller(c.to(last)), Action: keystore.ActionEncrypt, Key: k, Now: fixedClock{}.Now(),
			EncryptionContext: map[string]string{"volume": fmt.Sprint("vol-", last)}}
		if c.n == 1 {
			r.EncryptionContext = nil
		}
		token, err := keystore.NewGrantToken(rand.Reader, id, grantOn(id, "", last).ID)
		require.NoError(b, err)
		withToken := r
		withToken.GrantTokens = []string{token}
		run := func(name string, fn func() error) {
			require.NoError(b, fn(), "what is read once is in memory then")
			b.Run(c.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := fn(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		run("Authorize", func() error { return gate.Admit(b.Context(), &r) })
		run("Authorize with token", func() error { return gate.Admit(b.Context(), &withToken) })
		run("ListGrants", func() error {
			_, _, _, err := s.ListGrants(b.Context(), root(), &grants.ListInput{KeyID: string(id)})
			return err
		})
		run("CreateGrant, Authorize, RevokeGrant", func() error {
			out, err := s.CreateGrant(b.Context(), root(), &grants.CreateInput{KeyID: string(id), GranteePrincipal: r.Caller.Principal, Operations: []string{"Decrypt"}})
			if err != nil {
				return err
			}
			if err := gate.Admit(b.Context(), &r); err != nil {
				return err
			}
			_, err = s.RevokeGrant(b.Context(), root(), &grants.RevokeInput{KeyID: string(id), GrantID: out.GrantID})
			return err
		})
	}
}
