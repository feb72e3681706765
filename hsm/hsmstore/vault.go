package hsmstore

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// VaultLabel labels the vault's key on the default token.
const VaultLabel = Own + "vault"

// Settings of the vault. The first names the vault's key; both are written in the transaction that makes its ledger row live.
const (
	settingVaultKey    = "vault.key"
	settingVaultDigest = "vault.digest-secret"
)

const (
	vaultFormat     = 1 // first byte of everything sealed
	digestSecretLen = 32
	purposeDigest   = "vault-digest-secret"
)

// ErrNoVault says that the appliance has no vault yet: it was never initialised.
var ErrNoVault = errors.New("the appliance has no vault: initialise it first")

// VaultConfig is what a vault is made and opened with. All fields are required, but Random, which is crypto/rand where it is
// nil.
type VaultConfig struct {
	DB      keystore.DB
	Backend *Backend // the default store of the appliance's first Region; the vault does not own it
	Region  string
	Clock   keystore.Clock
	Random  io.Reader
}

// Vault seals the appliance's secrets (PINs, credentials) with an AES-256 key that never leaves the default token. What was
// sealed for one purpose opens for that purpose alone. It may be used by many goroutines at once.
type Vault struct {
	backend *Backend
	handle  backend.Handle
	digest  []byte // key of Digest
}

// String keeps the digest key out of logs.
func (*Vault) String() string { return "vault" }

// GoString keeps the digest key out of logs.
func (*Vault) GoString() string { return "vault" }

func newVault(b *Backend, id keystore.MaterialID) *Vault {
	return &Vault{backend: b, handle: vaultHandle(id)}
}

func vaultHandle(id keystore.MaterialID) backend.Handle {
	return backend.Handle{ID: id, Label: VaultLabel, Spec: keystore.SymmetricDefault, Usage: keystore.UsageEncryptDecrypt}
}

// aad binds a format and a purpose to what is sealed.
func aad(purpose string) []byte {
	return append([]byte{vaultFormat}, "strongroom vault\x00"+purpose...)
}

// Seal encrypts a secret for a purpose.
func (v *Vault) Seal(ctx context.Context, purpose string, plaintext []byte) ([]byte, error) {
	out := append(make([]byte, 0, 1+len(plaintext)+backend.SealedOverhead), vaultFormat)
	out, err := v.backend.Seal(ctx, &v.handle, aad(purpose), plaintext, out)
	if err != nil {
		return nil, fmt.Errorf("seal for %s: %w", purpose, err)
	}
	return out, nil
}

// Open decrypts what Seal made for the same purpose.
func (v *Vault) Open(ctx context.Context, purpose string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != vaultFormat {
		return nil, fmt.Errorf("open for %s: not sealed by this vault", purpose)
	}
	out, err := v.backend.Open(ctx, &v.handle, aad(purpose), sealed[1:], nil)
	if err != nil {
		return nil, fmt.Errorf("open for %s: %w", purpose, err)
	}
	return out, nil
}

// Digest is HMAC-SHA-256 of a secret, keyed for this appliance, and bound to a purpose.
func (v *Vault) Digest(purpose string, secret []byte) []byte {
	// Two steps: the purpose makes a key, so that no purpose and secret run together.
	sub := hmac.New(sha256.New, v.digest)
	sub.Write([]byte(purpose))
	mac := hmac.New(sha256.New, sub.Sum(nil))
	mac.Write(secret)
	return mac.Sum(nil)
}

// OpenVault opens the appliance's vault and shows that its key works; ErrNoVault where there is none. It makes nothing.
func OpenVault(ctx context.Context, cfg VaultConfig) (*Vault, error) {
	var name, sealed []byte
	err := cfg.DB.View(ctx, func(tx keystore.Tx) error {
		var err error
		if name, err = tx.Setting(settingVaultKey); err != nil {
			return err
		}
		sealed, err = tx.Setting(settingVaultDigest)
		return err
	})
	if errors.Is(err, keystore.ErrNoRow) {
		return nil, ErrNoVault
	}
	if err != nil {
		return nil, fmt.Errorf("read the vault's settings: %w", err)
	}
	id, err := keystore.ParseMaterialID(string(name))
	if err != nil {
		return nil, fmt.Errorf("setting %s: %w", settingVaultKey, err)
	}
	v := newVault(cfg.Backend, id)
	if v.digest, err = v.Open(ctx, purposeDigest, sealed); err != nil {
		t := cfg.Backend.Identity()
		return nil, fmt.Errorf("vault key %q (CKA_ID %s) of token %q (serial %s): %w", VaultLabel, id, t.Label, t.Serial, err)
	}
	if len(v.digest) != digestSecretLen {
		return nil, fmt.Errorf("setting %s has a secret of %d bytes", settingVaultDigest, len(v.digest))
	}
	return v, nil
}

// EnsureVault opens the vault, or makes it where the appliance has none. Making it survives a crash at any point: the ledger
// row of the key is planned before the token is touched; a later EnsureVault takes up a planned row, with the object that is
// on the token already or a new one under the same id, so that no second key is made and none is left unnamed. One
// transaction makes the row live and names the key in the settings.
func EnsureVault(ctx context.Context, cfg VaultConfig) (*Vault, error) {
	v, err := OpenVault(ctx, cfg)
	if !errors.Is(err, ErrNoVault) {
		return v, err
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	row, err := planVault(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("plan the vault's key: %w", err)
	}
	created, err := vaultKey(ctx, cfg.Backend, row.ID)
	if err != nil {
		return nil, fmt.Errorf("make the vault's key: %w", err)
	}
	v = newVault(cfg.Backend, row.ID)
	v.digest = make([]byte, digestSecretLen)
	if _, err := io.ReadFull(cfg.Random, v.digest); err != nil {
		return nil, fmt.Errorf("make the vault's digest secret: %w", err)
	}
	sealed, err := v.Seal(ctx, purposeDigest, v.digest)
	if err != nil {
		return nil, err
	}
	if err := commitVault(ctx, cfg, row.ID, created, sealed); err != nil {
		return nil, fmt.Errorf("commit the vault's key: %w", err)
	}
	return v, nil
}

// planVault gives the planned ledger row of the vault's key, a left-over one or a new one.
func planVault(ctx context.Context, cfg VaultConfig) (*keystore.Material, error) {
	id, err := keystore.NewMaterialID(cfg.Random)
	if err != nil {
		return nil, err
	}
	var row *keystore.Material
	err = cfg.DB.Update(ctx, func(tx keystore.Tx) error {
		found := false
		if row, found, err = plannedVault(tx); err != nil || found {
			return err
		}
		row = &keystore.Material{ID: id, State: keystore.MaterialPlanned, Kind: keystore.MaterialAppliance, Region: cfg.Region,
			Token: cfg.Backend.Identity(), Label: VaultLabel, PlannedAt: cfg.Clock.Now()}
		return tx.InsertMaterial(row)
	})
	return row, err
}

// plannedVault finds a planned row that an interrupted EnsureVault left.
func plannedVault(tx keystore.Tx) (row *keystore.Material, found bool, err error) {
	const chunk = 200
	var after keystore.MaterialID
	for {
		rows, err := tx.Materials(after, chunk, keystore.MaterialPlanned)
		if err != nil {
			return nil, false, err
		}
		for _, m := range rows {
			if m.Kind == keystore.MaterialAppliance && m.Label == VaultLabel {
				return m, true, nil
			}
		}
		if len(rows) < chunk {
			return nil, false, nil
		}
		after = rows[len(rows)-1].ID
	}
}

// vaultKey gives the key that a planned row names: what is on the token, or a new one.
func vaultKey(ctx context.Context, b *Backend, id keystore.MaterialID) (backend.Created, error) {
	h := vaultHandle(id)
	found, err := b.Find(ctx, h)
	if err != nil {
		return backend.Created{}, err
	}
	switch {
	case len(found) == 0:
		return b.CreateKey(ctx, h)
	case len(found) == 1 && found[0].Label == VaultLabel:
		return backend.Created{Classes: []string{found[0].Class}, KeyType: found[0].KeyType, CheckValue: found[0].CheckValue}, nil
	default:
		return backend.Created{}, fmt.Errorf("%d objects have CKA_ID %s, and one key labelled %q was expected", len(found), id, VaultLabel)
	}
}

func commitVault(ctx context.Context, cfg VaultConfig, id keystore.MaterialID, c backend.Created, sealed []byte) error {
	return cfg.DB.Update(ctx, func(tx keystore.Tx) error {
		row, err := tx.Material(id)
		if err != nil {
			return err
		}
		if err := row.Advance(keystore.MaterialLive); err != nil {
			return err
		}
		row.Classes, row.KeyType, row.CheckValue, row.CreatedAt = c.Classes, c.KeyType, c.CheckValue, cfg.Clock.Now()
		if err := tx.UpdateMaterial(row); err != nil {
			return err
		}
		if err := tx.PutSetting(settingVaultKey, []byte(id.String())); err != nil {
			return err
		}
		return tx.PutSetting(settingVaultDigest, sealed)
	})
}
