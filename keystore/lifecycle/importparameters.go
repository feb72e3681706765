package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/backend"
)

const (
	// importValidity is how long wrapping key and import token can be used (API reference, GetParametersForImport).
	importValidity = 24 * time.Hour
	// maxWrappingKeys bounds the wrapping keys of a key that wait for their use: each is a pair of objects on the token.
	maxWrappingKeys = 20
	// wrappingLabel labels wrapping keys on the token.
	wrappingLabel = applianceLabel + "import"
	// wrappingPrefix begins the names of settings that say when wrapping keys end: the time in milliseconds with leading
	// zeros, so that they come in that order, and the material id. The value is the key's ARN.
	wrappingPrefix = "lifecycle.import-wrapping/"
)

// directWrap and hybridWrap are the two families of wrapping algorithms.
var (
	directWrap = []string{"RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"}
	hybridWrap = []string{"RSA_AES_KEY_WRAP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256"}
)

// wrappingSpecs are the specs of wrapping keys.
var wrappingSpecs = []string{string(keystore.RSA2048), string(keystore.RSA3072), string(keystore.RSA4096)}

// checkWrapping refuses what AWS has in its enumerations and does not do: PKCS #1 v1.5 since October 2023, and SM2 outside of
// China.
func checkWrapping(algorithm, spec string) error {
	switch {
	case spec == string(keystore.SM2) || algorithm == "SM2PKE":
		return keystore.Faultf(keystore.KindUnsupportedOperation, "SM2 wrapping keys are not supported in this Region.")
	case algorithm == "RSAES_PKCS1_V1_5":
		return keystore.Faultf(keystore.KindUnsupportedOperation, "The wrapping algorithm RSAES_PKCS1_V1_5 is not supported.")
	case !slices.Contains(wrappingSpecs, spec):
		return invalid(spec, "wrappingKeySpec", "Member must satisfy enum value set: "+enumOf(wrappingSpecs))
	case !slices.Contains(directWrap, algorithm) && !slices.Contains(hybridWrap, algorithm):
		return invalid(algorithm, "wrappingAlgorithm", "Member must satisfy enum value set: "+enumOf(append(slices.Clone(directWrap), hybridWrap...)))
	}
	return nil
}

// checkFits refuses algorithms that cannot carry the material of a key (API reference, GetParametersForImport): an RSA private
// key is longer than what RSAES-OAEP encrypts, and so is one on P-521 with RSA_2048.
func checkFits(k *keystore.Key, algorithm, spec string) error {
	info, _ := keystore.LookupSpec(k.Spec)
	if !slices.Contains(directWrap, algorithm) || info == nil {
		return nil
	}
	if info.Family == keystore.FamilyRSA || k.Spec == keystore.ECCP521 && spec == string(keystore.RSA2048) {
		return keystore.Faultf(keystore.KindValidation,
			"WrappingAlgorithm %s with WrappingKeySpec %s cannot be used to import key material for KeySpec %s.", algorithm, spec, k.Spec)
	}
	return nil
}

// GetParametersForImport makes a wrapping key pair on the token of a key and a token that goes with it: both are for one
// import, within a day.
func (s *Service) GetParametersForImport(ctx context.Context, c *keystore.Caller, keyID, algorithm, spec string) (*ImportParameters, error) {
	const a = keystore.ActionGetParametersForImport
	if err := checkWrapping(algorithm, spec); err != nil {
		return nil, err
	}
	k, err := keystore.ResolveKey(ctx, s.cfg.DB, c, keyID, keystore.RefKeyOnly)
	if err != nil {
		return nil, err
	}
	err = s.admit(ctx, &access.Request{Caller: c, Action: a, Key: k, Conditions: map[string][]string{
		"kms:WrappingAlgorithm": {algorithm}, "kms:WrappingKeySpec": {spec}}})
	if err != nil {
		return nil, err
	}
	if err := checkFits(k, algorithm, spec); err != nil {
		return nil, err
	}
	b, u, err := s.unwrapper(k)
	if err != nil {
		return nil, err
	}
	if err := awake(ctx, b, ""); err != nil {
		return nil, err
	}
	defer s.busy.enter(k.ARN())()
	m, err := s.planWrapping(ctx, k, b)
	if err != nil {
		return nil, err
	}
	s.step(StepWrapPlanned)
	p, made, err := s.makeWrapping(ctx, b, u, k, m, algorithm, spec)
	if err != nil {
		return nil, s.abandon(ctx, m, err)
	}
	s.step(StepWrapGenerated)
	if err := s.commitWrapping(ctx, k, m.ID, made, p.ValidTo); err != nil {
		return nil, s.abandon(ctx, m, err)
	}
	s.step(StepWrapCommitted)
	return p, nil
}

// planWrapping commits the planned row of a wrapping key, within the bound.
func (s *Service) planWrapping(ctx context.Context, k *keystore.Key, b backend.Backend) (*keystore.Material, error) {
	id, err := keystore.NewMaterialID(s.cfg.Random)
	if err != nil {
		return nil, err
	}
	m := &keystore.Material{
		ID: id, State: keystore.MaterialPlanned, Kind: keystore.MaterialAppliance, KeyID: k.ID, KeyARN: k.ARN(), Region: k.Region,
		Token: b.Identity(), Label: wrappingLabel, KeyCreated: k.Created, PlannedAt: s.now(),
	}
	err = s.update(ctx, func(tx keystore.Tx) error {
		rows, err := tx.OpenMaterialsOfKey(k.ARN())
		if err != nil {
			return err
		}
		open := 0
		for _, r := range rows {
			if r.Label == wrappingLabel && (r.State == keystore.MaterialPlanned || r.State == keystore.MaterialLive) {
				open++
			}
		}
		if open >= maxWrappingKeys {
			return keystore.Faultf(keystore.KindLimitExceeded,
				"The limit of %d sets of import parameters that wait for their use has been reached for key %s.", maxWrappingKeys, k.ARN())
		}
		return tx.InsertMaterial(m)
	})
	return m, err
}

// makeWrapping makes the pair on the token, and the answer.
func (s *Service) makeWrapping(ctx context.Context, b backend.Backend, u backend.Unwrapper, k *keystore.Key, m *keystore.Material, algorithm, spec string) (*ImportParameters, backend.Created, error) {
	h := wrappingHandle(m.ID, keystore.Spec(spec))
	made, err := u.CreateWrappingKey(ctx, h)
	if err != nil {
		return nil, made, err
	}
	p := &ImportParameters{Key: k, ValidTo: s.now().Add(importValidity)}
	shower, ok := b.(backend.PublicKeyer)
	if !ok {
		return nil, made, keystore.Faultf(keystore.KindInternal, "a key store that unwraps shows no public keys")
	}
	if p.PublicKey, err = shower.PublicKey(ctx, &h); err != nil {
		return nil, made, err
	}
	p.Token, err = s.sealToken(ctx, &importToken{Key: k.ARN(), Wrapping: m.ID, Spec: h.Spec, Algorithm: algorithm, ValidTo: p.ValidTo})
	return p, made, err
}

func wrappingHandle(id keystore.MaterialID, spec keystore.Spec) backend.Handle {
	return backend.Handle{ID: id, Label: wrappingLabel, Spec: spec}
}

// commitWrapping makes a wrapping key live, for as long as it may wait.
func (s *Service) commitWrapping(ctx context.Context, k *keystore.Key, id keystore.MaterialID, made backend.Created, validTo time.Time) error {
	return s.update(ctx, func(tx keystore.Tx) error {
		now, err := tx.Key(k.Region, k.ID)
		if err != nil {
			return keystore.NoSuchKey(k.Region, k.Account, k.ID)
		}
		if err := keystore.Admit(keystore.ActionGetParametersForImport, now, s.conn(now)); err != nil {
			return err
		}
		if err := s.makeLive(tx, now, id, made); err != nil {
			return fmt.Errorf("wrapping key: %w", err)
		}
		return tx.PutSetting(wrappingSetting(validTo, id), []byte(k.ARN()))
	})
}

func wrappingSetting(validTo time.Time, id keystore.MaterialID) string {
	return fmt.Sprintf("%s%015d/%s", wrappingPrefix, validTo.UnixMilli(), id)
}

// parseWrapping takes the name of a wrapping key's setting apart.
func parseWrapping(name string) (validTo time.Time, id keystore.MaterialID, err error) {
	ms, text, _ := strings.Cut(strings.TrimPrefix(name, wrappingPrefix), "/")
	n, err := strconv.ParseInt(ms, 10, 64)
	if err == nil {
		id, err = keystore.ParseMaterialID(text)
	}
	if err != nil {
		return validTo, id, fmt.Errorf("setting %s: %w", name, err)
	}
	return time.UnixMilli(n).UTC(), id, nil
}

// condemnWrapping ends a wrapping key in a transaction: nil where it has ended.
func (s *Service) condemnWrapping(tx keystore.Tx, k *keystore.Key, validTo time.Time, id keystore.MaterialID) (*keystore.Material, error) {
	if err := tx.DeleteSetting(wrappingSetting(validTo, id)); err != nil && !errors.Is(err, keystore.ErrNoRow) {
		return nil, err
	}
	row, err := tx.Material(id)
	if err != nil || row.State != keystore.MaterialLive {
		return nil, err
	}
	if err := row.Advance(keystore.MaterialCondemned); err != nil {
		return nil, err
	}
	row.DeletedAt = s.now()
	if k != nil {
		row.KeyCreated = k.Created
	}
	return row, tx.UpdateMaterial(row)
}
