package crypt

import (
	"context"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// Sign signs a message or a digest on the token.
func (s *Service) Sign(ctx context.Context, c *keystore.Caller, in *SignInput) (*SignOutput, error) {
	t := s.borrow()
	defer s.giveBack(t)
	j := signing{keystore.ActionSign, in.KeyID, in.SigningAlgorithm, in.MessageType, in.Message, in.GrantTokens}
	u, _, input, err := s.admitSigning(ctx, c, t, &j)
	if err != nil {
		return nil, err
	}
	b, err := u.signer(ctx, in.SigningAlgorithm)
	if err != nil {
		return nil, err
	}
	if in.DryRun {
		return nil, dryRun()
	}
	if _, err := u.ready(t); err != nil {
		return nil, err
	}
	signature, err := b.Sign(ctx, &t.handle, in.SigningAlgorithm, input)
	if err != nil {
		return nil, s.late(ctx, t, &u, err)
	}
	return &SignOutput{KeyARN: u.arn, Signature: signature, SigningAlgorithm: in.SigningAlgorithm}, nil
}

// Verify verifies a signature with the public key, outside of the token unless the operator wants it done there. A signature
// that is not good is a Fault, never an answer.
func (s *Service) Verify(ctx context.Context, c *keystore.Caller, in *VerifyInput) (*VerifyOutput, error) {
	t := s.borrow()
	defer s.giveBack(t)
	j := signing{keystore.ActionVerify, in.KeyID, in.SigningAlgorithm, in.MessageType, in.Message, in.GrantTokens}
	u, how, input, err := s.admitSigning(ctx, c, t, &j)
	if err != nil {
		return nil, err
	}
	if in.DryRun {
		return nil, dryRun()
	}
	good, err := s.verify(ctx, t, &u, how, input, in)
	if err != nil {
		return nil, err
	}
	if !good {
		return nil, &keystore.Fault{Kind: keystore.KindInvalidSignature} // recorded without a message
	}
	return &VerifyOutput{KeyARN: u.arn, SigningAlgorithm: in.SigningAlgorithm}, nil
}

func (s *Service) verify(ctx context.Context, t *scratch, u *use, how *scheme, input []byte, in *VerifyInput) (bool, error) {
	v, itself, err := s.verifier(ctx, t, u, in.SigningAlgorithm)
	if err != nil {
		return false, err
	}
	if itself {
		if _, err := u.ready(t); err != nil {
			return false, err
		}
		good, err := v.Verify(ctx, &t.handle, in.SigningAlgorithm, input, in.Signature)
		return good, s.late(ctx, t, u, err)
	}
	key, err := s.publicKey(ctx, t, u)
	if err != nil {
		return false, err
	}
	return how.verify(key.key, how.hash, input, in.Signature), nil
}

// verifier gives the backend if it shall verify signatures of an algorithm itself; otherwise the public key is to do. A backend
// that does not make such signatures is not trusted to know them.
func (s *Service) verifier(ctx context.Context, t *scratch, u *use, algorithm string) (v backend.Verifier, itself bool, err error) {
	if v, itself = u.backend.(backend.Verifier); !itself || !v.VerifiesItself() {
		return v, false, nil
	}
	if l, limited := u.backend.(backend.SignatureLimiter); limited {
		itself, err = l.Signs(ctx, algorithm)
	}
	return v, itself, s.late(ctx, t, u, err)
}

// signing is what Sign and Verify have in common.
type signing struct {
	action      keystore.Action
	keyID       string
	algorithm   string
	messageType string
	message     []byte
	tokens      []string
}

// admitSigning finds and admits the key, and gives what is signed of the message.
func (s *Service) admitSigning(ctx context.Context, c *keystore.Caller, t *scratch, j *signing) (use, *scheme, []byte, error) {
	if j.messageType == "" {
		j.messageType = messageRaw
	}
	u, err := s.find(ctx, c, j.keyID)
	if err != nil {
		return u, nil, nil, err
	}
	err = s.admit(ctx, c, t, &u, &demand{action: j.action, given: j.keyID, algorithm: j.algorithm, message: j.messageType, tokens: j.tokens})
	if err != nil {
		return u, nil, nil, err
	}
	if err := u.algorithm(j.algorithm); err != nil {
		return u, nil, nil, err
	}
	how, ok := schemes[j.algorithm]
	if !ok {
		return u, nil, nil, keystore.Faultf(keystore.KindUnsupportedOperation, "Algorithm %s is not supported.", j.algorithm)
	}
	input, err := how.input(j.algorithm, u.key.Spec, j.messageType, j.message)
	return u, how, input, err
}

// signer gives the key's backend, which must be able to make signatures of that algorithm.
func (u *use) signer(ctx context.Context, algorithm string) (backend.Signer, error) {
	b, err := capable[backend.Signer](u)
	if err != nil {
		return nil, err
	}
	l, limited := b.(backend.SignatureLimiter)
	if !limited {
		return b, nil
	}
	can, err := l.Signs(ctx, algorithm)
	if err != nil {
		return nil, err
	}
	if !can {
		return nil, keystore.Faultf(keystore.KindUnsupportedOperation, "The key store of %s can't make signatures of %s.", u.arn, algorithm)
	}
	return b, nil
}
