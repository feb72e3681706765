package crypt

import (
	"context"
	"errors"
	"slices"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/envelope"
)

// textUnknownCiphertext is what AWS answers where the ciphertext alone names the key, and the caller may not learn whether
// it exists (api-errors.md section 4).
const textUnknownCiphertext = "The ciphertext refers to a customer master key that does not exist, does not exist in this region, " +
	"or you are not allowed to access."

// Decrypt opens what Encrypt or GenerateDataKey made.
func (s *Service) Decrypt(ctx context.Context, c *keystore.Caller, in *DecryptInput) (*DecryptOutput, error) {
	t := s.borrow()
	defer s.giveBack(t)
	src := source{
		ciphertext: in.CiphertextBlob, keyID: in.KeyID, member: "keyId", algorithm: defaultAlgorithm(in.EncryptionAlgorithm),
		dryRun: in.DryRun, modifiers: in.DryRunModifiers,
		demand: demand{action: keystore.ActionDecrypt, context: in.EncryptionContext, tokens: in.GrantTokens},
	}
	if err := s.locate(ctx, c, &src); err != nil {
		return nil, err
	}
	m, err := s.admitSource(ctx, c, t, &src)
	if err != nil {
		return nil, err
	}
	if in.DryRun {
		return nil, dryRun()
	}
	plaintext, material, err := m.decrypt(s, ctx, t, &src.use, src.algorithm, in.EncryptionContext, in.CiphertextBlob)
	if err != nil {
		return nil, err
	}
	return &DecryptOutput{Plaintext: plaintext, KeyARN: src.use.arn, EncryptionAlgorithm: src.algorithm,
		KeyMaterialID: materialID(src.use.key, material)}, nil
}

// source is the side of a request that opens a ciphertext.
type source struct {
	ciphertext []byte
	keyID      string // as given, "" where the ciphertext names its key
	member     string // the request's name for keyID, for messages
	algorithm  string
	dryRun     bool
	modifiers  []string
	demand     demand

	use     use   // filled in by locate
	wrong   bool  // the ciphertext is another key's
	garbled error // the ciphertext is none of ours
}

// locate finds the key of a source, by the identifier that was given or by the ciphertext.
func (s *Service) locate(ctx context.Context, c *keystore.Caller, src *source) error {
	ignore := slices.Contains(src.modifiers, IgnoreCiphertext)
	switch {
	case len(src.modifiers) > 0 && !src.dryRun:
		return keystore.Faultf(keystore.KindValidation, "DryRunModifiers can only be specified when DryRun is true.")
	case ignore && src.keyID == "":
		return nullMember(src.member)
	case len(src.ciphertext) == 0 && !ignore:
		return nullMember("ciphertextBlob")
	case src.keyID == "" && src.algorithm != symmetricAlgorithm:
		return nullMember(src.member)
	}
	src.demand.given, src.demand.algorithm = src.keyID, src.algorithm
	var err error
	if src.keyID != "" {
		if src.use, err = s.find(ctx, c, src.keyID); err != nil || ignore {
			return err
		}
	}
	if src.keyID != "" && src.use.info.Asymmetric() && src.algorithm != symmetricAlgorithm {
		return nil // its ciphertexts have no form of ours
	}
	blob, err := envelope.Decode(src.ciphertext)
	if src.keyID != "" {
		src.garbled = err
		src.wrong = err == nil && blob.KeyID != src.use.key.ID
		return nil
	}
	if err != nil {
		return invalidCiphertext(err)
	}
	k, err := s.cfg.DB.LookupKey(ctx, c.Region, blob.KeyID)
	if errors.Is(err, keystore.ErrNoRow) {
		return keystore.Faultf(keystore.KindAccessDenied, textUnknownCiphertext)
	}
	if err != nil {
		return err
	}
	src.use, err = s.useOf(k)
	return err
}

// KeyOf gives the key that a ciphertext of a symmetric key names; false where it is none of ours.
func KeyOf(ciphertext []byte) (keystore.KeyID, bool) {
	blob, err := envelope.Decode(ciphertext)
	return blob.KeyID, err == nil
}

// nullMember is AWS's answer to a request without a member that it needs.
func nullMember(name string) error {
	return keystore.Faultf(keystore.KindValidation,
		"1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null", name)
}

// admitSource authorises, tells a wrong key (which wins over its usage and state, as recorded), and then admits.
func (s *Service) admitSource(ctx context.Context, c *keystore.Caller, t *scratch, src *source) (*method, error) {
	src.demand.stateless = src.wrong
	err := s.admit(ctx, c, t, &src.use, &src.demand)
	switch {
	case err != nil && src.keyID == "" && keystore.KindOf(err) == keystore.KindAccessDenied:
		return nil, keystore.Faultf(keystore.KindAccessDenied, textUnknownCiphertext).Because(err)
	case err != nil:
		return nil, err
	case src.wrong:
		return nil, keystore.Faultf(keystore.KindIncorrectKey,
			"The key ID in the request does not identify a CMK that can perform this operation.")
	}
	if err := src.use.suits(&src.demand); err != nil {
		return nil, err
	}
	if src.garbled != nil {
		return nil, invalidCiphertext(src.garbled)
	}
	return src.use.method()
}
