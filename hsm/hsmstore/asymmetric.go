package hsmstore

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

var (
	_ backend.Signer       = (*Backend)(nil)
	_ backend.Decrypter    = (*Backend)(nil)
	_ backend.MACer        = (*Backend)(nil)
	_ backend.Agreer       = (*Backend)(nil)
	_ backend.Encapsulator = (*Backend)(nil)
	_ backend.PublicKeyer  = (*Backend)(nil)
	_ backend.Importer     = (*Backend)(nil)
)

// noAlgorithm is the failure of an algorithm that has no row here.
func noAlgorithm(algorithm string) error {
	return &hsm.Error{Op: "choose mechanism", Class: hsm.Unsupported, Err: fmt.Errorf("no mechanism for algorithm %q", algorithm)}
}

// use runs a cryptographic call and counts it as in flight.
func (b *Backend) use(fn func() ([]byte, error)) ([]byte, error) {
	if err := b.enter(); err != nil {
		return nil, b.fault(backend.CallUse, err)
	}
	defer b.leave()
	out, err := fn()
	if err != nil {
		return nil, b.fault(backend.CallUse, err)
	}
	return out, nil
}

// unsupported is the fault of an algorithm that the token has no mechanism for.
func (b *Backend) unsupported(algorithm string) error {
	return keystore.Faultf(keystore.KindUnsupportedOperation, "The key store cannot do %s.", algorithm).Because(noAlgorithm(algorithm))
}

// Sign signs on the token.
func (b *Backend) Sign(ctx context.Context, h *backend.Handle, algorithm string, input []byte) ([]byte, error) {
	how, ok := signTable[algorithm]
	if !ok {
		return nil, b.unsupported(algorithm)
	}
	return b.use(func() ([]byte, error) {
		signature, err := b.token.Sign(ctx, ref(h), how, input)
		if err != nil || how.Scheme != hsm.SignECDSA {
			return signature, err
		}
		return hsm.ECDSASignatureDER(signature)
	})
}

// Decrypt decrypts RSAES-OAEP: the private operation on the token, the padding where the token cannot.
func (b *Backend) Decrypt(ctx context.Context, h *backend.Handle, algorithm string, ciphertext []byte) ([]byte, error) {
	hash, ok := oaepTable[algorithm]
	if !ok {
		return nil, b.unsupported(algorithm)
	}
	return b.use(func() ([]byte, error) { return b.token.DecryptOAEP(ctx, ref(h), hash, ciphertext) })
}

// MAC authenticates on the token.
func (b *Backend) MAC(ctx context.Context, h *backend.Handle, algorithm string, message []byte) ([]byte, error) {
	hash, ok := macTable[algorithm]
	if !ok {
		return nil, b.unsupported(algorithm)
	}
	return b.use(func() ([]byte, error) { return b.token.MAC(ctx, ref(h), hash, message) })
}

// Agree makes a shared secret on the token.
func (b *Backend) Agree(ctx context.Context, h *backend.Handle, peer []byte) ([]byte, error) {
	point, err := peerPoint(h.Spec, peer)
	if err != nil {
		return nil, (&keystore.Fault{Kind: keystore.KindValidation}).Because(err)
	}
	return b.use(func() ([]byte, error) { return b.token.Agree(ctx, ref(h), point) })
}

// Encapsulate makes a shared secret on the token.
func (b *Backend) Encapsulate(ctx context.Context, h *backend.Handle) (secret, ciphertext []byte, err error) {
	secret, err = b.use(func() ([]byte, error) {
		made, err := b.token.Encapsulate(ctx, ref(h))
		ciphertext = made.Ciphertext
		return made.Secret, err
	})
	return secret, ciphertext, err
}

// Decapsulate opens a ciphertext on the token.
func (b *Backend) Decapsulate(ctx context.Context, h *backend.Handle, ciphertext []byte) ([]byte, error) {
	return b.use(func() ([]byte, error) { return b.token.Decapsulate(ctx, ref(h), ciphertext) })
}

// maxPublicKey bounds a SubjectPublicKeyInfo; the API's own limit is 8192 bytes.
const maxPublicKey = 8192

// peerPoint reads the uncompressed point of a public key, which must be of the spec's curve. Parsing checks that the point is
// on it.
func peerPoint(spec keystore.Spec, der []byte) ([]byte, error) {
	if len(der) > maxPublicKey {
		return nil, fmt.Errorf("public key of %d bytes", len(der))
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	info, listed := keystore.LookupSpec(spec)
	if !ok || !listed || key.Curve.Params().BitSize != info.Bits {
		return nil, fmt.Errorf("public key is not on the curve of %s", spec)
	}
	return key.Bytes()
}

// PublicKey reads the public half from the token.
func (b *Backend) PublicKey(ctx context.Context, h *backend.Handle) ([]byte, error) {
	return b.use(func() ([]byte, error) {
		key, err := b.token.PublicKey(ctx, ref(h))
		return key.DER, err
	})
}

// ImportKey puts key material on the token.
func (b *Backend) ImportKey(ctx context.Context, h backend.Handle, material []byte) (backend.Created, error) {
	if err := b.enter(); err != nil {
		return backend.Created{}, b.fault(backend.CallCreate, err)
	}
	defer b.leave()
	order, err := b.order(&h)
	if err != nil {
		return backend.Created{}, b.fault(backend.CallCreate, err)
	}
	var made backend.Created
	if order.Kind.Symmetric() {
		o, failed := b.token.ImportSecret(ctx, order, material)
		made, err = created(o), failed
	} else {
		pair, failed := b.token.ImportPrivate(ctx, order, material)
		made, err = created(pair.Private, pair.Public), failed
	}
	switch {
	case err == nil:
		return made, nil
	case hsm.ClassOf(err) == hsm.BadInput && hsm.CodeOf(err) == 0:
		// Refused before it reached the token: not what the spec asks for.
		return backend.Created{}, (&keystore.Fault{Kind: keystore.KindIncorrectKeyMaterial}).Because(err)
	default:
		return backend.Created{}, b.fault(backend.CallCreate, err)
	}
}
