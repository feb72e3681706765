package crypt

import (
	"context"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// dataKeySizes are the KeySpecs of data keys in bytes (API reference, GenerateDataKey.KeySpec).
var dataKeySizes = map[string]int{"AES_128": 16, "AES_256": 32}

// MaxRandom is the largest NumberOfBytes (API reference, GenerateDataKey and GenerateRandom).
const MaxRandom = 1024

// GenerateDataKey makes a data key, in the clear and encrypted under the key.
func (s *Service) GenerateDataKey(ctx context.Context, c *keystore.Caller, in *DataKeyInput) (*DataKeyOutput, error) {
	return s.dataKey(ctx, c, keystore.ActionGenerateDataKey, in, true)
}

// GenerateDataKeyWithoutPlaintext makes a data key encrypted under the key only.
func (s *Service) GenerateDataKeyWithoutPlaintext(ctx context.Context, c *keystore.Caller, in *DataKeyInput) (*DataKeyOutput, error) {
	return s.dataKey(ctx, c, keystore.ActionGenerateDataKeyWithoutPlaintext, in, false)
}

func (s *Service) dataKey(ctx context.Context, c *keystore.Caller, a keystore.Action, in *DataKeyInput, show bool) (*DataKeyOutput, error) {
	size, err := dataKeySize(in)
	if err != nil {
		return nil, err
	}
	u, err := s.find(ctx, c, in.KeyID)
	if err != nil {
		return nil, err
	}
	t := s.borrow()
	defer s.giveBack(t)
	m, err := s.target(ctx, c, t, &u, &demand{
		action: a, given: in.KeyID, algorithm: symmetricAlgorithm, context: in.EncryptionContext, tokens: in.GrantTokens,
	})
	if err != nil {
		return nil, err
	}
	if in.DryRun {
		return nil, dryRun()
	}
	plaintext := make([]byte, size)
	shown := false
	defer func() {
		if !shown {
			clear(plaintext)
		}
	}()
	if err := s.random(ctx, &u, plaintext); err != nil {
		return nil, s.late(ctx, t, &u, err)
	}
	blob, err := m.encrypt(s, ctx, t, &u, symmetricAlgorithm, in.EncryptionContext, plaintext)
	if err != nil {
		return nil, err
	}
	out := &DataKeyOutput{CiphertextBlob: blob, KeyARN: u.arn, KeyMaterialID: materialID(u.key, u.key.Current())}
	if show {
		out.Plaintext, shown = plaintext, true
	}
	return out, nil
}

// dataKeySize gives a data key's length in bytes.
func dataKeySize(in *DataKeyInput) (int, error) {
	if (in.KeySpec == "") == (in.NumberOfBytes == nil) {
		return 0, keystore.Faultf(keystore.KindValidation, "Please specify either number of bytes or key spec.")
	}
	if in.NumberOfBytes != nil {
		return numberOfBytes(*in.NumberOfBytes)
	}
	size, ok := dataKeySizes[in.KeySpec]
	if !ok {
		return 0, keystore.Faultf(keystore.KindValidation, "1 validation error detected: Value '%s' at 'keySpec' failed to "+
			"satisfy constraint: Member must satisfy enum value set: [AES_256, AES_128]", in.KeySpec)
	}
	return size, nil
}

// numberOfBytes holds a NumberOfBytes against its range.
func numberOfBytes(n int32) (int, error) {
	const text = "1 validation error detected: Value '%d' at 'numberOfBytes' failed to satisfy constraint: Member must have value "
	switch {
	case n < 1:
		return 0, keystore.Faultf(keystore.KindValidation, text+"greater than or equal to 1", n)
	case n > MaxRandom:
		return 0, keystore.Faultf(keystore.KindValidation, text+"less than or equal to %d", n, MaxRandom)
	}
	return int(n), nil
}

// random draws a data key's bytes from the token of the key's store; for a store without a generator of its own (an
// external key store) from the default store of the Region.
func (s *Service) random(ctx context.Context, u *use, p []byte) error {
	b, err := u.reach()
	if err != nil {
		return err
	}
	if r, ok := b.(backend.Randomer); ok {
		return r.Random(ctx, p)
	}
	b, _ = s.cfg.Resolver.Resolve(u.key.Region, "")
	if r, ok := b.(backend.Randomer); ok {
		return r.Random(ctx, p)
	}
	return keystore.Faultf(keystore.KindUnsupportedOperation, "The key store of %s has no random generator.", u.arn)
}
