package hsm

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"io"
	"time"
)

// Signer is a key pair on a token as a crypto.Signer, for TLS and the like.
type Signer struct {
	token   *Token
	ref     KeyRef
	public  PublicKey
	timeout time.Duration
}

// NewSigner makes a Signer of a key pair whose public half Go's library knows.
// Each signature may take as long as timeout: crypto.Signer has no context.
func (t *Token) NewSigner(ctx context.Context, ref KeyRef, timeout time.Duration) (*Signer, error) {
	public, err := t.PublicKey(ctx, ref)
	if err != nil {
		return nil, err
	}
	if public.Key == nil {
		return nil, failf("make signer", Unsupported, "%s has no place in crypto.Signer", public.Kind)
	}
	return &Signer{token: t, ref: ref, public: public, timeout: timeout}, nil
}

// Public implements crypto.Signer.
func (s *Signer) Public() crypto.PublicKey { return s.public.Key }

// Sign implements crypto.Signer. The token makes what is random. Of PSS only the
// salt as long as the digest is known, which is what TLS uses.
func (s *Signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	how := Signing{Hash: opts.HashFunc()}
	switch s.public.Key.(type) {
	case *rsa.PublicKey:
		how.Scheme = SignPKCS1
		if pss, ok := opts.(*rsa.PSSOptions); ok {
			how.Scheme = SignPSS
			if salt := pss.SaltLength; salt != rsa.PSSSaltLengthEqualsHash && salt != how.Hash.Size() {
				return nil, failf("C_Sign", BadInput, "a PSS salt of %d bytes", salt)
			}
		}
	case ed25519.PublicKey:
		if how.Hash != 0 {
			return nil, failf("C_Sign", Unsupported, "Ed25519 on a digest")
		}
		how.Scheme = SignEd25519
	default:
		how.Scheme = SignECDSA
	}
	sig, err := s.token.Sign(ctx, s.ref, how, digest)
	if err != nil || how.Scheme != SignECDSA {
		return sig, err
	}
	return ECDSASignatureDER(sig)
}
