package crypt

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"sync"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/secp256k1"
)

// DefaultPublicKeys is how many public keys are kept in memory where the configuration says nothing: at most 20 MB.
const DefaultPublicKeys = 10_000

// GetPublicKey gives the public half of a key.
func (s *Service) GetPublicKey(ctx context.Context, c *keystore.Caller, in *PublicKeyInput) (*PublicKeyOutput, error) {
	u, err := s.find(ctx, c, in.KeyID)
	if err != nil {
		return nil, err
	}
	t := s.borrow()
	defer s.giveBack(t)
	if err := s.admit(ctx, c, t, &u, &demand{action: keystore.ActionGetPublicKey, given: in.KeyID, tokens: in.GrantTokens}); err != nil {
		return nil, err
	}
	key, err := s.publicKey(ctx, t, &u)
	if err != nil {
		return nil, err
	}
	return &PublicKeyOutput{Key: u.key, PublicKey: key.der}, nil
}

// publicKey is the public half of a material, which never changes. It is shared: read only.
type publicKey struct {
	der []byte           // SubjectPublicKeyInfo
	key crypto.PublicKey // as parsePublic gives it
}

// publicKeys keeps public keys by material. Being full it gives up any of them: what is in use comes back with one call to
// the token.
type publicKeys struct {
	limit int
	mu    sync.RWMutex
	keys  map[keystore.MaterialID]*publicKey
}

func (p *publicKeys) init(limit int) {
	if limit <= 0 {
		limit = DefaultPublicKeys
	}
	p.limit, p.keys = limit, map[keystore.MaterialID]*publicKey{}
}

func (p *publicKeys) get(id keystore.MaterialID) *publicKey {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.keys[id]
}

func (p *publicKeys) put(id keystore.MaterialID, k *publicKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for old := range p.keys {
		if len(p.keys) < p.limit {
			break
		}
		delete(p.keys, old)
	}
	p.keys[id] = k
}

// publicKey gives the public half of a key's current material, from memory or else from the token.
func (s *Service) publicKey(ctx context.Context, t *scratch, u *use) (*publicKey, error) {
	if m := u.key.Current(); m != nil {
		if known := s.public.get(m.ID); known != nil {
			return known, nil
		}
	}
	b, err := capable[backend.PublicKeyer](u)
	if err != nil {
		return nil, err
	}
	m, err := u.ready(t)
	if err != nil {
		return nil, err
	}
	der, err := b.PublicKey(ctx, &t.handle)
	if err != nil {
		return nil, s.late(ctx, t, u, err)
	}
	key, err := parsePublic(u.info, der)
	if err != nil {
		return nil, (&keystore.Fault{Kind: keystore.KindInternal}).Because(fmt.Errorf("public key of %s: %w", u.arn, err))
	}
	found := &publicKey{der, key}
	s.public.put(m.ID, found)
	return found, nil
}

// parsePublic reads a SubjectPublicKeyInfo, which must be of the spec's family and size: a *rsa.PublicKey, *ecdsa.PublicKey,
// ed25519.PublicKey, *secp256k1.PublicKey, *mldsa.PublicKey, or the bytes of an ML-KEM key.
func parsePublic(info *keystore.SpecInfo, der []byte) (crypto.PublicKey, error) {
	if info.Spec == keystore.ECCSecp256k1 {
		return secp256k1.ParsePublicKey(der)
	}
	if l, ok := lattices[info.Spec]; ok {
		return l.parse(der)
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, err
	}
	fits := false
	switch key := parsed.(type) {
	case *rsa.PublicKey:
		fits = info.Family == keystore.FamilyRSA && key.N.BitLen() == info.Bits
	case *ecdsa.PublicKey:
		fits = info.Family == keystore.FamilyECC && key.Curve.Params().BitSize == info.Bits
	case ed25519.PublicKey:
		fits = info.Family == keystore.FamilyEdwards
	}
	if !fits {
		return nil, fmt.Errorf("a %T is no key of spec %s", parsed, info.Spec)
	}
	return parsed, nil
}
