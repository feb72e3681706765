package hsmstore

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"fmt"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

var _ backend.Carrier = (*Backend)(nil)

// carryHash is OAEP's hash between tokens: SHA-1, which every token can unwrap with, and which is sound there.
const carryHash = crypto.SHA1

// CarryFormat names the form in which keys of a spec are moved between tokens.
func (b *Backend) CarryFormat(spec keystore.Spec) string {
	kind, ok := kindTable[spec]
	p := b.token.Profile()
	switch {
	case !ok || kind >= hsm.MLDSA44 || kind == hsm.Ed25519 && !p.WrapsEdwards:
		return "" // no token was seen to wrap keys of ML-DSA and ML-KEM; SoftHSM2 has no PKCS #8 form for Ed25519
	case kind.Symmetric():
		return "rsaes-oaep"
	case p.KeyWrapKWP:
		return string(hsm.WrapRFC5649)
	default:
		return string(p.WrapFormat)
	}
}

// SendKey wraps the material of a handle for another token.
func (b *Backend) SendKey(ctx context.Context, h, transport *backend.Handle, to []byte) (backend.Parcel, error) {
	if err := b.enter(); err != nil {
		return backend.Parcel{}, b.fault(backend.CallCreate, err)
	}
	defer b.leave()
	p, err := b.send(ctx, h, transport, to)
	if err != nil {
		return backend.Parcel{}, b.fault(backend.CallCreate, err)
	}
	return p, nil
}

func (b *Backend) send(ctx context.Context, h, transport *backend.Handle, to []byte) (p backend.Parcel, err error) {
	parsed, err := x509.ParsePKIXPublicKey(to)
	pub, ok := parsed.(*rsa.PublicKey)
	if err != nil || !ok {
		return p, &hsm.Error{Op: "send key", Class: hsm.BadInput, Err: fmt.Errorf("no RSA public key to wrap to: %w", err)}
	}
	kind := kindTable[h.Spec]
	if kind.Symmetric() {
		p.Key, err = b.token.WrapOAEP(ctx, pub, carryHash, ref(h))
		return p, err
	}
	key, err := b.token.PublicKey(ctx, ref(h))
	if err != nil {
		return p, err
	}
	p.Public = key.DER
	order := hsm.Template{KeyRef: ref(transport), Kind: hsm.AES256, Usage: hsm.UseWrap, Extractable: true}
	if _, err := b.token.Generate(ctx, order); err != nil {
		return p, err
	}
	if p.Transport, err = b.token.WrapOAEP(ctx, pub, carryHash, order.KeyRef); err != nil {
		return p, err
	}
	w, err := b.token.Wrap(ctx, order.KeyRef, ref(h), kind)
	p.Key, p.Format = w.Blob, string(w.Format)
	return p, err
}

// ReceiveKey puts what another token sent on this one.
func (b *Backend) ReceiveKey(ctx context.Context, h backend.Handle, transport, pair *backend.Handle, p backend.Parcel) (backend.Created, error) {
	if err := b.enter(); err != nil {
		return backend.Created{}, b.fault(backend.CallCreate, err)
	}
	defer b.leave()
	made, err := b.receive(ctx, h, transport, pair, p)
	if err != nil {
		return backend.Created{}, b.fault(backend.CallCreate, err)
	}
	return created(made...), nil
}

func (b *Backend) receive(ctx context.Context, h backend.Handle, transport, pair *backend.Handle, p backend.Parcel) ([]hsm.Object, error) {
	order, err := b.order(&h)
	if err != nil {
		return nil, err
	}
	if order.Kind.Symmetric() {
		made, err := b.token.UnwrapInside(ctx, order, ref(pair), carryHash, p.Key)
		return []hsm.Object{made}, err
	}
	kek := hsm.Template{KeyRef: ref(transport), Kind: hsm.AES256, Usage: hsm.UseUnwrap}
	if _, err := b.token.UnwrapInside(ctx, kek, ref(pair), carryHash, p.Transport); err != nil {
		return nil, err
	}
	private, err := b.token.Unwrap(ctx, order, kek.KeyRef, hsm.Wrapped{Format: hsm.WrapFormat(p.Format), Blob: p.Key})
	if err != nil {
		return nil, err
	}
	public, err := b.token.ImportPublic(ctx, order, p.Public)
	return []hsm.Object{private, public}, err
}
