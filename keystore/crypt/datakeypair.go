package crypt

import (
	"context"

	"github.com/strongroom/strongroom/keystore"
)

// GenerateDataKeyPair makes a data key pair, its private key in the clear and encrypted under the key. The pair is made here and
// not on the token, as AWS makes it outside of its HSMs.
func (s *Service) GenerateDataKeyPair(ctx context.Context, c *keystore.Caller, in *DataKeyPairInput) (*DataKeyPairOutput, error) {
	return s.dataKeyPair(ctx, c, keystore.ActionGenerateDataKeyPair, in, true)
}

// GenerateDataKeyPairWithoutPlaintext makes a data key pair with its private key encrypted under the key only.
func (s *Service) GenerateDataKeyPairWithoutPlaintext(ctx context.Context, c *keystore.Caller, in *DataKeyPairInput) (*DataKeyPairOutput, error) {
	return s.dataKeyPair(ctx, c, keystore.ActionGenerateDataKeyPairWithoutPlaintext, in, false)
}

func (s *Service) dataKeyPair(ctx context.Context, c *keystore.Caller, a keystore.Action, in *DataKeyPairInput, show bool) (*DataKeyPairOutput, error) {
	u, err := s.find(ctx, c, in.KeyID)
	if err != nil {
		return nil, err
	}
	t := s.borrow()
	defer s.giveBack(t)
	m, err := s.target(ctx, c, t, &u, &demand{
		action: a, given: in.KeyID, algorithm: symmetricAlgorithm, pairSpec: in.KeyPairSpec,
		context: in.EncryptionContext, tokens: in.GrantTokens,
	})
	if err != nil {
		return nil, err
	}
	pairMaker, ok := pairMakers[keystore.Spec(in.KeyPairSpec)]
	if !ok {
		return nil, keystore.Faultf(keystore.KindUnsupportedOperation, "KeyPairSpec %s is not supported.", in.KeyPairSpec)
	}
	if in.DryRun {
		return nil, dryRun()
	}
	made, err := s.makePair(ctx, pairMaker)
	if err != nil {
		return nil, err
	}
	shown := false
	defer func() {
		if !shown {
			clear(made.private)
		}
	}()
	// Making it may have taken seconds, and waiting for the turn some more.
	if f := s.still(ctx, t, &u); f != nil {
		return nil, f
	}
	blob, err := m.encrypt(s, ctx, t, &u, symmetricAlgorithm, in.EncryptionContext, made.private)
	if err != nil {
		return nil, err
	}
	out := &DataKeyPairOutput{PrivateKeyCiphertextBlob: blob, PublicKey: made.public, KeyARN: u.arn, KeyPairSpec: in.KeyPairSpec,
		KeyMaterialID: materialID(u.key, u.key.Current())}
	if show {
		out.PrivateKeyPlaintext, shown = made.private, true
	}
	return out, nil
}

// makePair makes a pair in its turn: RSA pairs take seconds of a processor, and callers could ask for any number of them.
func (s *Service) makePair(ctx context.Context, maker pairMaker) (*keyPair, error) {
	select {
	case s.making <- struct{}{}:
		defer func() { <-s.making }()
	case <-ctx.Done():
		return nil, keystore.Faultf(keystore.KindDependencyTimeout, "Too many data key pairs are being made. Try again.").Because(ctx.Err())
	}
	made, err := maker(s.cfg.Random)
	if err != nil {
		return nil, (&keystore.Fault{Kind: keystore.KindInternal}).Because(err)
	}
	return made, nil
}
