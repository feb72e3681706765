package hsmstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmstore"
	"github.com/strongroom/strongroom/hsm/hsmtest"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/state/statetest"
)

type fixedClock time.Time

func (c fixedClock) Now() time.Time { return time.Time(c) }

var noon = fixedClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))

func vaultConfig(t *testing.T) (hsmstore.VaultConfig, *hsm.Token) {
	t.Helper()
	b, token := openDefault(t)
	return hsmstore.VaultConfig{DB: statetest.Open(t), Backend: b, Region: "us-east-1", Clock: noon}, token
}

func vaultKeys(t *testing.T, token *hsm.Token) []hsm.Object {
	t.Helper()
	found, err := token.FindLabel(t.Context(), hsmstore.VaultLabel)
	require.NoError(t, err)
	return found
}

func rows(t *testing.T, db keystore.DB) []*keystore.Material {
	t.Helper()
	var out []*keystore.Material
	require.NoError(t, db.View(t.Context(), func(tx keystore.Tx) error {
		var err error
		out, err = tx.Materials(keystore.MaterialID{}, 100)
		return err
	}))
	return out
}

func TestVaultSealsForAPurpose(t *testing.T) {
	cfg, token := vaultConfig(t)
	_, err := hsmstore.OpenVault(t.Context(), cfg)
	require.ErrorIs(t, err, hsmstore.ErrNoVault)

	v, err := hsmstore.EnsureVault(t.Context(), cfg)
	require.NoError(t, err)
	sealed, err := v.Seal(t.Context(), "store/1", []byte("1234567"))
	require.NoError(t, err)
	assert.NotContains(t, string(sealed), "1234567")

	again, err := hsmstore.EnsureVault(t.Context(), cfg)
	require.NoError(t, err)
	plain, err := again.Open(t.Context(), "store/1", sealed)
	require.NoError(t, err)
	assert.Equal(t, "1234567", string(plain))
	_, err = again.Open(t.Context(), "store/2", sealed)
	assert.Equal(t, keystore.KindInvalidCiphertext, keystore.KindOf(err))
	for _, bad := range [][]byte{nil, {}, {1}, {2, 3, 4}, sealed[:len(sealed)-1], append([]byte{9}, sealed[1:]...)} {
		_, err := again.Open(t.Context(), "store/1", bad)
		assert.Error(t, err, "%x", bad)
	}

	assert.Equal(t, v.Digest("p", []byte("s")), again.Digest("p", []byte("s")), "the digest secret is kept")
	assert.NotEqual(t, v.Digest("p", []byte("s")), v.Digest("q", []byte("s")))
	assert.NotEqual(t, v.Digest("ps", []byte("")), v.Digest("p", []byte("s")))
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v %s", v, v, v, v), "digest")

	require.Len(t, vaultKeys(t, token), 1)
	ledger := rows(t, cfg.DB)
	require.Len(t, ledger, 1)
	assert.Equal(t, keystore.MaterialLive, ledger[0].State)
	assert.Equal(t, keystore.MaterialAppliance, ledger[0].Kind)
	assert.Equal(t, hsmstore.VaultLabel, ledger[0].Label)
	assert.Equal(t, vaultKeys(t, token)[0].ID, ledger[0].ID[:])
	assert.Equal(t, token.Info().Serial, ledger[0].Token.Serial)
}

// brokenDB fails the n-th writing transaction, before or after it took effect: what a crash there leaves behind.
type brokenDB struct {
	keystore.DB
	n     int
	after bool
	err   error
}

func (d *brokenDB) Update(ctx context.Context, fn func(keystore.Tx) error) error {
	d.n--
	if d.n != 0 {
		return d.DB.Update(ctx, fn)
	}
	if d.after {
		return errors.Join(d.DB.Update(ctx, fn), d.err)
	}
	return d.err
}

func TestVaultSurvivesACrashAtEveryStep(t *testing.T) {
	crash := errors.New("crash")
	for step := 1; step <= 2; step++ {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("transaction %d, committed %t", step, after), func(t *testing.T) {
				cfg, token := vaultConfig(t)
				whole := cfg.DB
				cfg.DB = &brokenDB{DB: whole, n: step, after: after, err: crash}
				_, err := hsmstore.EnsureVault(t.Context(), cfg)
				require.ErrorIs(t, err, crash)
				for _, o := range vaultKeys(t, token) {
					require.Len(t, rows(t, whole), 1, "an object is on the token, so a row names it")
					assert.Equal(t, o.ID, rows(t, whole)[0].ID[:])
				}

				cfg.DB = whole
				v, err := hsmstore.EnsureVault(t.Context(), cfg)
				require.NoError(t, err)
				_, err = v.Seal(t.Context(), "p", []byte("x"))
				require.NoError(t, err)
				assert.Len(t, vaultKeys(t, token), 1)
				require.Len(t, rows(t, whole), 1)
				assert.Equal(t, keystore.MaterialLive, rows(t, whole)[0].State)
			})
		}
	}
}

func TestVaultIsNeverReplaced(t *testing.T) {
	cfg, token := vaultConfig(t)
	_, err := hsmstore.EnsureVault(t.Context(), cfg)
	require.NoError(t, err)
	key := vaultKeys(t, token)[0]
	_, err = token.Destroy(t.Context(), key.KeyRef)
	require.NoError(t, err)
	_, err = hsmstore.EnsureVault(t.Context(), cfg)
	require.ErrorIs(t, err, hsm.KeyMissing)
	assert.Empty(t, vaultKeys(t, token), "secrets sealed by the lost key are lost: a new key must not hide that")
}

func TestVaultOnAnotherTokenIsRefused(t *testing.T) {
	cfg, _ := vaultConfig(t)
	_, err := hsmstore.EnsureVault(t.Context(), cfg)
	require.NoError(t, err)
	cfg.Backend = hsmstore.NewDefault(hsmtest.SoftHSM(t, "other").Open("other"))
	_, err = hsmstore.OpenVault(t.Context(), cfg)
	require.ErrorIs(t, err, hsm.KeyMissing)
	assert.Contains(t, err.Error(), "other", "the operator learns which token was asked")
}

func TestVaultRefusesAForeignObject(t *testing.T) {
	cfg, token := vaultConfig(t)
	whole := cfg.DB
	cfg.DB = &brokenDB{DB: whole, n: 2, err: errors.New("crash")}
	_, err := hsmstore.EnsureVault(t.Context(), cfg)
	require.Error(t, err)
	id := vaultKeys(t, token)[0].ID
	_, err = token.Generate(t.Context(), hsm.Template{KeyRef: hsm.KeyRef{ID: id, Label: "somebody else's"}, Kind: hsm.AES256,
		Usage: hsm.UseEncrypt | hsm.UseDecrypt})
	require.NoError(t, err)
	cfg.DB = whole
	_, err = hsmstore.EnsureVault(t.Context(), cfg)
	assert.ErrorContains(t, err, "2 objects")
}

var _ backend.Backend = (*hsmstore.Backend)(nil)
