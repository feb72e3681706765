package statetest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
)

func aliases(t *testing.T, db keystore.DB) {
	change(t, db, func(tx keystore.Tx) {
		require.NoError(t, tx.InsertKey(Key(Region, 1)))
		require.NoError(t, tx.InsertKey(Key(Region, 2)))
		require.NoError(t, tx.InsertKey(Key(Other, 1)))
		for _, name := range []string{"alias/c", "alias/a", "alias/B", "alias/b"} {
			require.NoError(t, tx.InsertAlias(Alias(Region, name, KeyID(1))))
		}
		require.NoError(t, tx.InsertAlias(Alias(Region, "alias/two", KeyID(2))))
		require.NoError(t, tx.InsertAlias(Alias(Other, "alias/a", KeyID(1))), "names are per Region")
	})
	assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error { return tx.InsertAlias(Alias(Region, "alias/a", KeyID(2))) }), keystore.ErrExists)
	assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error { return tx.InsertAlias(Alias(Region, "alias/x", KeyID(9))) }), keystore.ErrNoRow)
	assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error { return tx.UpdateAlias(Alias(Region, "alias/x", KeyID(1))) }), keystore.ErrNoRow)
	assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error { return tx.UpdateAlias(Alias(Region, "alias/a", KeyID(9))) }), keystore.ErrNoRow)
	assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error { return tx.DeleteAlias(Region, "alias/x") }), keystore.ErrNoRow)

	names := func(all []*keystore.Alias, err error) (out []string) {
		require.NoError(t, err)
		for _, a := range all {
			out = append(out, a.Name)
		}
		return out
	}
	look(t, db, func(tx keystore.Tx) {
		assert.Equal(t, Alias(Region, "alias/a", KeyID(1)), need[*keystore.Alias](t)(tx.Alias(Region, "alias/a")))
		assert.Equal(t, []string{"alias/B", "alias/a", "alias/b", "alias/c", "alias/two"}, names(tx.Aliases(Region, "", "", 10)), "byte order")
		assert.Equal(t, []string{"alias/b", "alias/c"}, names(tx.Aliases(Region, "", "alias/a", 2)))
		assert.Equal(t, []string{"alias/b", "alias/c"}, names(tx.Aliases(Region, KeyID(1), "alias/a", 10)))
		assert.Equal(t, []string{"alias/two"}, names(tx.Aliases(Region, KeyID(2), "", 10)))
		assert.Empty(t, names(tx.Aliases(Region, KeyID(3), "", 10)))
		assert.Equal(t, 4, need[int](t)(tx.CountAliases(Region, KeyID(1))))
		_, err := tx.Alias(Region, "alias/x")
		assert.ErrorIs(t, err, keystore.ErrNoRow)
	})
}

func grants(t *testing.T, db keystore.DB) {
	full := Grant(Region, KeyID(1), 1)
	bare := &keystore.Grant{ID: "bare", KeyID: KeyID(1), Region: Region}
	bare2 := &keystore.Grant{ID: "bare2", KeyID: KeyID(1), Region: Region, Grantee: "other"}
	change(t, db, func(tx keystore.Tx) {
		require.NoError(t, tx.InsertKey(Key(Region, 1)))
		require.NoError(t, tx.InsertKey(Key(Region, 2)))
		require.NoError(t, tx.InsertGrant(full))
		require.NoError(t, tx.InsertGrant(bare))
		require.NoError(t, tx.InsertGrant(bare2), "grants without a token are no duplicates")
	})
	same, token := Grant(Region, KeyID(1), 1), Grant(Region, KeyID(2), 2)
	same.Token, token.Token = "another", full.Token
	assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error { return tx.InsertGrant(same) }), keystore.ErrExists, "same id")
	assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error { return tx.InsertGrant(token) }), keystore.ErrExists, "same token")
	assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error { return tx.InsertGrant(Grant(Region, KeyID(9), 3)) }), keystore.ErrNoRow)
	assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error { return tx.DeleteGrant(Region, KeyID(2), full.ID) }), keystore.ErrNoRow)
	look(t, db, func(tx keystore.Tx) {
		one := need[*keystore.Grant](t)
		assert.Equal(t, full, one(tx.Grant(Region, KeyID(1), full.ID)))
		assert.Equal(t, bare, one(tx.Grant(Region, KeyID(1), bare.ID)))
		assert.Equal(t, full, one(tx.GrantByToken(Region, full.Token)))
		_, err := tx.GrantByToken(Region, "")
		assert.ErrorIs(t, err, keystore.ErrNoRow, "no token is nobody's")
		_, err = tx.GrantByToken(Other, full.Token)
		assert.ErrorIs(t, err, keystore.ErrNoRow)
		assert.Equal(t, []*keystore.Grant{full}, need[[]*keystore.Grant](t)(tx.GrantsByName(Region, KeyID(1), "payroll")))
		assert.Equal(t, 3, need[int](t)(tx.CountGrants(Region, KeyID(1))))
	})
	to := func(grantee string) []*keystore.Grant {
		return need[[]*keystore.Grant](t)(db.LookupGrants(t.Context(), Region, KeyID(1), grantee))
	}
	assert.Equal(t, []*keystore.Grant{full}, to(Grantee))
	assert.Equal(t, []*keystore.Grant{bare2}, to("other"))
	assert.Nil(t, to("nobody"))
	change(t, db, func(tx keystore.Tx) { require.NoError(t, tx.DeleteGrant(Region, KeyID(1), full.ID)) })
	assert.Nil(t, to(Grantee))
	look(t, db, func(tx keystore.Tx) { assert.Equal(t, 2, need[int](t)(tx.CountGrants(Region, KeyID(1)))) })
	assert.Equal(t, []*keystore.Grant{bare2}, to("other"))
	late := &keystore.Grant{ID: "late", KeyID: KeyID(1), Region: Region, Grantee: "nobody"}
	change(t, db, func(tx keystore.Tx) { require.NoError(t, tx.InsertGrant(late)) })
	assert.Equal(t, []*keystore.Grant{late}, to("nobody"), "that there was none is not remembered")
}

func grantsInPages(t *testing.T, db keystore.DB) {
	const each = 7
	change(t, db, func(tx keystore.Tx) {
		for k := range 3 {
			require.NoError(t, tx.InsertKey(Key(Region, k)))
			for n := range each {
				g := Grant(Region, KeyID(k), n)
				if n == 0 {
					g.Grantee, g.Retiring = "someone", "someone"
				}
				require.NoError(t, tx.InsertGrant(g))
			}
		}
	})
	usual := Grant(Region, KeyID(0), 1)
	look(t, db, func(tx keystore.Tx) {
		list := need[[]*keystore.Grant](t)
		assert.Len(t, list(tx.Grants(Region, KeyID(0), "", "", "", 100)), each)
		assert.Len(t, list(tx.Grants(Region, KeyID(0), usual.Grantee, "", "", 100)), each-1)
		assert.Len(t, list(tx.Grants(Region, KeyID(0), "", usual.ID, "", 100)), 1)
		assert.Empty(t, list(tx.Grants(Region, KeyID(0), "someone", usual.ID, "", 100)))
		page := list(tx.Grants(Region, KeyID(0), "", "", usual.ID, 3))
		require.Len(t, page, 3)
		assert.Equal(t, Grant(Region, KeyID(0), 2), page[0])

		var all []*keystore.Grant
		for after := ""; ; {
			page := list(tx.RetirableGrants(Region, usual.Retiring, after, 4))
			if len(page) == 0 {
				break
			}
			require.LessOrEqual(t, len(page), 4)
			last := page[len(page)-1]
			all, after = append(all, page...), string(last.KeyID)+"/"+last.ID
		}
		require.Len(t, all, 3*(each-1))
		for i, g := range all {
			assert.Equal(t, Grant(Region, KeyID(i/(each-1)), i%(each-1)+1), g)
		}
	})
}

func stores(t *testing.T, db keystore.DB) {
	hsm, xks, far := Store(Region, 1), XksStore(Region, 2), Store(Other, 3)
	change(t, db, func(tx keystore.Tx) {
		for _, s := range []*keystore.Store{far, xks, hsm} {
			require.NoError(t, tx.InsertStore(s))
			require.EqualValues(t, 1, s.Revision)
		}
	})
	look(t, db, func(tx keystore.Tx) {
		list := need[[]*keystore.Store](t)
		assert.Equal(t, []*keystore.Store{hsm, xks, far}, list(tx.Stores("", "", 10)), "every Region")
		assert.Equal(t, []*keystore.Store{hsm, xks}, list(tx.Stores(Region, "", 10)))
		assert.Equal(t, []*keystore.Store{xks}, list(tx.Stores(Region, hsm.ID, 1)))
		assert.Equal(t, hsm, need[*keystore.Store](t)(tx.Store(Region, hsm.ID)))
		assert.Equal(t, xks, need[*keystore.Store](t)(tx.StoreByName(Region, xks.Name)))
		_, err := tx.StoreByName(Other, xks.Name)
		assert.ErrorIs(t, err, keystore.ErrNoRow)
	})
	for _, s := range []*keystore.Store{hsm, xks, far} {
		assert.Equal(t, s, need[*keystore.Store](t)(db.LookupStore(t.Context(), s.Region, s.ID)))
	}
	stale := hsm.Clone()
	hsm.Conn, hsm.ConnError, hsm.ConnCause, hsm.Name = keystore.Connected, "", "", "new name"
	change(t, db, func(tx keystore.Tx) { require.NoError(t, tx.UpdateStore(hsm)) })
	assert.EqualValues(t, 2, hsm.Revision)
	assert.Equal(t, hsm, need[*keystore.Store](t)(db.LookupStore(t.Context(), Region, hsm.ID)))
	assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error { return tx.UpdateStore(stale) }), keystore.ErrStale)
	assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error { return tx.UpdateStore(Store(Region, 9)) }), keystore.ErrNoRow)
	assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error { return tx.DeleteStore(Other, hsm.ID) }), keystore.ErrNoRow)

	k := Key(Region, 1)
	k.StoreID = hsm.ID
	change(t, db, func(tx keystore.Tx) {
		require.NoError(t, tx.InsertKey(k))
		require.Error(t, tx.DeleteStore(Region, hsm.ID), "a store with a key")
	})
	need[*keystore.Store](t)(db.LookupStore(t.Context(), Region, hsm.ID))
	change(t, db, func(tx keystore.Tx) {
		require.NoError(t, tx.DeleteKey(k))
		require.NoError(t, tx.DeleteStore(Region, hsm.ID))
	})
	_, err := db.LookupStore(t.Context(), Region, hsm.ID)
	assert.ErrorIs(t, err, keystore.ErrNoRow)
}

func storesUnique(t *testing.T, db keystore.DB) {
	change(t, db, func(tx keystore.Tx) {
		require.NoError(t, tx.InsertStore(Store(Region, 1)))
		require.NoError(t, tx.InsertStore(XksStore(Region, 2)))
	})
	for name, edit := range map[string]func(s *keystore.Store){
		"id":        func(s *keystore.Store) { s.ID = Store(Region, 1).ID },
		"name":      func(s *keystore.Store) { s.Name = Store(Region, 1).Name },
		"cluster":   func(s *keystore.Store) { s.ClusterID = Store(Region, 1).ClusterID },
		"proxy URI": func(s *keystore.Store) { s.Type, s.ClusterID, s.Xks = keystore.StoreXKS, "", XksStore(Region, 2).Xks },
	} {
		t.Run(name, func(t *testing.T) {
			taken := Store(Region, 3)
			edit(taken)
			assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error { return tx.InsertStore(taken) }), keystore.ErrExists)
			if name == "id" {
				return
			}
			assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error {
				s := Store(Region, 3)
				require.NoError(t, tx.InsertStore(s))
				edit(s)
				return tx.UpdateStore(s)
			}), keystore.ErrExists, "by an update")
			elsewhere := Store(Other, 3)
			edit(elsewhere)
			assert.NoError(t, refused(t, db, func(tx keystore.Tx) error { return tx.InsertStore(elsewhere) }), "in another Region")
		})
	}
}

func principals(t *testing.T, db keystore.DB) {
	alice := &keystore.Principal{ARN: "arn:aws:iam::1:user/alice", ID: "AIDAALICE", Kind: keystore.PrincipalUser, Name: "alice", Created: Noon,
		Policies: []keystore.NamedPolicy{{Name: "p", Document: "{}"}}}
	root := &keystore.Principal{ARN: "arn:aws:iam::1:root", Kind: keystore.PrincipalRoot, Name: "root", Created: Noon, Disabled: true}
	key := func(id, arn string) *keystore.Credential {
		return &keystore.Credential{AccessKeyID: id, PrincipalARN: arn, SealedSecret: []byte{1, 0, 2}, Created: Noon}
	}
	change(t, db, func(tx keystore.Tx) {
		require.NoError(t, tx.InsertPrincipal(alice))
		require.NoError(t, tx.InsertPrincipal(root))
		require.ErrorIs(t, tx.InsertPrincipal(&keystore.Principal{ARN: alice.ARN}), keystore.ErrExists)
		for _, c := range []*keystore.Credential{key("B", alice.ARN), key("A", alice.ARN), key("R", root.ARN)} {
			require.NoError(t, tx.InsertCredential(c))
		}
		require.ErrorIs(t, tx.InsertCredential(key("A", root.ARN)), keystore.ErrExists)
	})
	assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error { return tx.InsertCredential(key("C", "arn:none")) }), keystore.ErrNoRow)
	stale := *alice
	alice.Disabled, alice.Leaving, alice.Policies = true, true, nil
	change(t, db, func(tx keystore.Tx) { require.NoError(t, tx.UpdatePrincipal(alice)) })
	assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error { return tx.UpdatePrincipal(&stale) }), keystore.ErrStale)
	assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error {
		return tx.UpdatePrincipal(&keystore.Principal{ARN: "arn:none"})
	}), keystore.ErrNoRow)
	disabled := key("A", alice.ARN)
	disabled.Disabled = true
	change(t, db, func(tx keystore.Tx) {
		require.NoError(t, tx.UpdateCredential(disabled))
		require.ErrorIs(t, tx.UpdateCredential(key("C", alice.ARN)), keystore.ErrNoRow)
		require.ErrorIs(t, tx.DeleteCredential("C"), keystore.ErrNoRow)
		require.ErrorIs(t, tx.DeletePrincipal("arn:none"), keystore.ErrNoRow)
	})
	look(t, db, func(tx keystore.Tx) {
		assert.Equal(t, []*keystore.Principal{root, alice}, need[[]*keystore.Principal](t)(tx.Principals()))
		assert.Equal(t, alice, need[*keystore.Principal](t)(tx.Principal(alice.ARN)))
		assert.Equal(t, disabled, need[*keystore.Credential](t)(tx.Credential("A")))
		assert.Equal(t, []*keystore.Credential{disabled, key("B", alice.ARN)}, need[[]*keystore.Credential](t)(tx.Credentials(alice.ARN)))
	})
	change(t, db, func(tx keystore.Tx) {
		require.NoError(t, tx.DeleteCredential("B"))
		require.NoError(t, tx.DeletePrincipal(alice.ARN))
		_, err := tx.Credential("A")
		require.ErrorIs(t, err, keystore.ErrNoRow, "credentials go with their principal")
		_, err = tx.Principal(alice.ARN)
		require.ErrorIs(t, err, keystore.ErrNoRow)
		need[*keystore.Credential](t)(tx.Credential("R"))
	})
}

func settings(t *testing.T, db keystore.DB) {
	change(t, db, func(tx keystore.Tx) {
		for _, name := range []string{"b/1", "a/2", "a/1", "a0", "ä"} {
			require.NoError(t, tx.PutSetting(name, []byte(name)))
		}
		require.NoError(t, tx.PutSetting("a/1", []byte{0, 255}))
		require.NoError(t, tx.PutSetting("empty", nil))
		require.NoError(t, tx.DeleteSetting("a0"))
		require.ErrorIs(t, tx.DeleteSetting("a0"), keystore.ErrNoRow)
	})
	look(t, db, func(tx keystore.Tx) {
		assert.Equal(t, []byte{0, 255}, need[[]byte](t)(tx.Setting("a/1")))
		assert.Empty(t, need[[]byte](t)(tx.Setting("empty")))
		_, err := tx.Setting("a0")
		assert.ErrorIs(t, err, keystore.ErrNoRow)
		assert.Equal(t, []string{"a/1", "a/2"}, need[[]string](t)(tx.Settings("a/")))
		assert.Equal(t, []string{"a/1", "a/2", "b/1", "empty", "ä"}, need[[]string](t)(tx.Settings("")))
		assert.Empty(t, need[[]string](t)(tx.Settings("zz")))
	})
}

// naming: what names a principal is found in every Region.
func naming(t *testing.T, db keystore.DB) {
	const ann = "arn:aws:iam::000000000000:user/ann"
	plain, escaped, other := Key(Region, 1), Key(Other, 1), Key(Region, 2)
	plain.Policy = `{"Principal":{"AWS":"` + ann + `"}}`
	escaped.Policy = `{"Principal":{"AWS":"arn:aws:iam::000000000000:user\/ann"}}`
	other.Policy = `{"Principal":{"AWS":"arn:aws:iam::000000000000:user/bob"}}`
	held, retired, kept := Grant(Region, KeyID(1), 1), Grant(Other, KeyID(1), 2), Grant(Region, KeyID(2), 3)
	held.Grantee, held.Retiring = ann, ""
	retired.Retiring = ann
	change(t, db, func(tx keystore.Tx) {
		for _, k := range []*keystore.Key{plain, escaped, other} {
			require.NoError(t, tx.InsertKey(k))
		}
		for _, g := range []*keystore.Grant{held, retired, kept} {
			require.NoError(t, tx.InsertGrant(g))
		}
	})
	look(t, db, func(tx keystore.Tx) {
		keys := func(k []*keystore.Key, err error) (arns []string) {
			require.NoError(t, err)
			for _, one := range k {
				arns = append(arns, one.ARN())
			}
			return arns
		}
		first, second := plain, escaped // by Region
		if Other < Region {
			first, second = second, first
		}
		assert.Equal(t, []string{first.ARN(), second.ARN()}, keys(tx.KeysNaming(ann, "", "", 10)))
		assert.Equal(t, []string{first.ARN()}, keys(tx.KeysNaming(ann, "", "", 1)))
		assert.Equal(t, []string{second.ARN()}, keys(tx.KeysNaming(ann, first.Region, first.ID, 10)))
		var ids []string
		for _, g := range need[[]*keystore.Grant](t)(tx.GrantsNaming(ann, 10)) {
			ids = append(ids, g.ID)
		}
		assert.ElementsMatch(t, []string{held.ID, retired.ID}, ids)
		assert.Len(t, need[[]*keystore.Grant](t)(tx.GrantsNaming(ann, 1)), 1)
	})
}
