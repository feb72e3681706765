package keystore_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
)

func TestKeyMaterials(t *testing.T) {
	one, two := keystore.MaterialID{1}, keystore.MaterialID{2}
	k := &keystore.Key{Materials: []keystore.KeyMaterial{
		{ID: one, State: keystore.MaterialNonCurrent}, {ID: two, State: keystore.MaterialCurrent, KMSID: "given"},
	}}
	require.NotNil(t, k.Current())
	assert.Equal(t, two, k.Current().ID)
	assert.Equal(t, "given", k.Current().KeyMaterialID())
	assert.Equal(t, one.KMSID(), k.Material(one).KeyMaterialID())
	assert.Nil(t, k.Material(keystore.MaterialID{3}))
	assert.Nil(t, (&keystore.Key{}).Current())
}

func TestKeyClone(t *testing.T) {
	k := &keystore.Key{
		Tags:        []keystore.Tag{{Key: "a", Value: "1"}},
		Materials:   []keystore.KeyMaterial{{ID: keystore.MaterialID{1}}},
		MultiRegion: &keystore.MultiRegion{ReplicaRegions: []string{"eu-west-1"}},
		Import:      &keystore.ImportState{ExpirationModel: "x"},
	}
	c := k.Clone()
	assert.Equal(t, k, c)
	c.Tags[0].Value, c.Materials[0].ID = "2", keystore.MaterialID{2}
	c.MultiRegion.ReplicaRegions[0], c.Import.ExpirationModel = "x", "y"
	assert.Equal(t, "1", k.Tags[0].Value)
	assert.Equal(t, keystore.MaterialID{1}, k.Materials[0].ID)
	assert.Equal(t, "eu-west-1", k.MultiRegion.ReplicaRegions[0])
	assert.Equal(t, "x", k.Import.ExpirationModel)

	s := &keystore.Store{SealedPassword: []byte("a"), PasswordDigest: []byte("b"), Xks: &keystore.XksConfig{URIPath: "/p"}}
	sc := s.Clone()
	assert.Equal(t, s, sc)
	sc.SealedPassword[0], sc.Xks.URIPath = 'x', "/q"
	assert.Equal(t, "a", string(s.SealedPassword))
	assert.Equal(t, "/p", s.Xks.URIPath)

	m := &keystore.Material{Classes: []string{"CKO_SECRET_KEY"}}
	mc := m.Clone()
	mc.Classes[0] = "x"
	assert.Equal(t, "CKO_SECRET_KEY", m.Classes[0])
}

func TestKeyPredicates(t *testing.T) {
	for _, s := range keystore.States() {
		want := s == keystore.PendingDeletion || s == keystore.PendingReplicaDeletion
		assert.Equal(t, want, (&keystore.Key{State: s}).PendingDeletion(), string(s))
	}
	for _, s := range samples() {
		k, _ := s.put(keystore.Enabled)
		assert.Equal(t, s.spec == keystore.SymmetricDefault && !s.inStore, k.ShowsMaterialID(), s.name)
	}
}

func TestMaterialLife(t *testing.T) {
	// Each pair of states, and whether the one may follow the other (design of the ledger: planned, live, condemned, then
	// destroyed or orphaned, then resolved).
	follows := map[keystore.MaterialState][]keystore.MaterialState{
		"planned":   {"live", "condemned"},
		"live":      {"condemned"},
		"condemned": {"destroyed", "orphaned", "resolved"},
		"orphaned":  {"destroyed", "resolved"},
	}
	require.Len(t, keystore.MaterialStates(), 6)
	for _, from := range keystore.MaterialStates() {
		for _, to := range keystore.MaterialStates() {
			m := &keystore.Material{State: from}
			err := m.Advance(to)
			if slices.Contains(follows[from], to) {
				assert.NoError(t, err)
				assert.Equal(t, to, m.State)
				continue
			}
			assert.Error(t, err, "%s to %s", from, to)
			assert.Equal(t, from, m.State, "a refused step changes nothing")
		}
	}
}

func TestFaults(t *testing.T) {
	cause := errors.New("CKR_DEVICE_ERROR")
	f := keystore.Faultf(keystore.KindKeyUnavailable, "no %s", "token")
	assert.Equal(t, "KeyUnavailable: no token", f.Error())
	because := f.Because(cause)
	assert.Equal(t, "KeyUnavailable: no token: CKR_DEVICE_ERROR", because.Error())
	assert.ErrorIs(t, because, cause)
	assert.NoError(t, f.Unwrap(), "Because makes a copy")
	assert.Equal(t, "Tag", (&keystore.Fault{Kind: keystore.KindTag}).Error())

	assert.Equal(t, keystore.KindKeyUnavailable, keystore.KindOf(fmt.Errorf("encrypt: %w", because)))
	assert.Equal(t, keystore.KindInternal, keystore.KindOf(cause))
	assert.Empty(t, keystore.KindOf(nil))
}
