package crypt_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"sync"

	"filippo.io/mldsa"
	mldsax509 "filippo.io/mldsa/x509"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/backend/backendtest"
)

// soft is a token in memory that also has key pairs and HMAC keys. It counts calls and fails on demand.
type soft struct {
	*backendtest.Memory

	mu    sync.Mutex
	pairs map[keystore.MaterialID]crypto.Signer
	macs  map[keystore.MaterialID][]byte
	kems  map[keystore.MaterialID]*mlkem.DecapsulationKey768
	calls map[string]int
	err   error
	lies  []byte // what PublicKey answers instead; nil for the truth
}

func newSoft() *soft {
	return &soft{Memory: backendtest.NewMemory("soft"), pairs: map[keystore.MaterialID]crypto.Signer{},
		macs: map[keystore.MaterialID][]byte{}, kems: map[keystore.MaterialID]*mlkem.DecapsulationKey768{}, calls: map[string]int{}}
}

func (s *soft) call(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[name]++
	return s.err
}

func (s *soft) fail(err error) { s.mu.Lock(); s.err = err; s.mu.Unlock() }

func (s *soft) count(name string) int { s.mu.Lock(); defer s.mu.Unlock(); return s.calls[name] }

func (s *soft) CreateKey(ctx context.Context, h backend.Handle) (backend.Created, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	switch h.Spec {
	case keystore.SymmetricDefault:
		return s.Memory.CreateKey(ctx, h)
	case keystore.RSA2048:
		s.pairs[h.ID], err = rsa.GenerateKey(rand.Reader, 2048)
	case keystore.ECCP256:
		s.pairs[h.ID], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case keystore.HMAC256:
		s.macs[h.ID] = []byte("a secret of the test " + h.ID.String())
	case keystore.MLDSA44:
		s.pairs[h.ID], err = mldsa.GenerateKey(mldsa.MLDSA44())
	case keystore.MLDSA65:
		s.pairs[h.ID], err = mldsa.GenerateKey(mldsa.MLDSA65())
	case keystore.MLDSA87:
		s.pairs[h.ID], err = mldsa.GenerateKey(mldsa.MLDSA87())
	case keystore.MLKEM768:
		s.kems[h.ID], err = mlkem.GenerateKey768()
	default:
		err = errors.New("no such key here")
	}
	return backend.Created{}, err
}

func (s *soft) pair(h *backend.Handle) crypto.Signer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pairs[h.ID]
}

func (s *soft) Sign(_ context.Context, h *backend.Handle, _ string, input []byte) ([]byte, error) {
	if err := s.call("Sign"); err != nil {
		return nil, err
	}
	if key, ok := s.pair(h).(*mldsa.PrivateKey); ok {
		return key.Sign(nil, input, nil)
	}
	return s.pair(h).Sign(rand.Reader, input, crypto.SHA256)
}

func (s *soft) kem(h *backend.Handle) *mlkem.DecapsulationKey768 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kems[h.ID]
}

func (s *soft) Encapsulate(_ context.Context, h *backend.Handle) (secret, ciphertext []byte, err error) {
	if err := s.call("Encapsulate"); err != nil {
		return nil, nil, err
	}
	secret, ciphertext = s.kem(h).EncapsulationKey().Encapsulate()
	return secret, ciphertext, nil
}

func (s *soft) Decapsulate(_ context.Context, h *backend.Handle, ciphertext []byte) ([]byte, error) {
	if err := s.call("Decapsulate"); err != nil {
		return nil, err
	}
	if len(ciphertext) != mlkem.CiphertextSize768 {
		return nil, &keystore.Fault{Kind: keystore.KindInvalidCiphertext}
	}
	return s.kem(h).Decapsulate(ciphertext)
}

func (s *soft) Decrypt(_ context.Context, h *backend.Handle, _ string, ciphertext []byte) ([]byte, error) {
	if err := s.call("Decrypt"); err != nil {
		return nil, err
	}
	key, ok := s.pair(h).(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("no RSA key")
	}
	return rsa.DecryptOAEP(sha256.New(), nil, key, ciphertext, nil)
}

func (s *soft) MAC(_ context.Context, h *backend.Handle, _ string, message []byte) ([]byte, error) {
	if err := s.call("MAC"); err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, s.macs[h.ID])
	mac.Write(message)
	return mac.Sum(nil), nil
}

func (s *soft) Agree(_ context.Context, h *backend.Handle, peer []byte) ([]byte, error) {
	if err := s.call("Agree"); err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKIXPublicKey(peer)
	if err != nil {
		return nil, err
	}
	public, err := parsed.(*ecdsa.PublicKey).ECDH()
	if err != nil {
		return nil, err
	}
	private, err := s.pair(h).(*ecdsa.PrivateKey).ECDH()
	if err != nil {
		return nil, err
	}
	return private.ECDH(public)
}

func (s *soft) PublicKey(_ context.Context, h *backend.Handle) ([]byte, error) {
	if err := s.call("PublicKey"); err != nil {
		return nil, err
	}
	if s.lies != nil {
		return s.lies, nil
	}
	return mldsax509.MarshalPKIXPublicKey(s.pair(h).Public())
}
