package xksstore

import (
	"context"
	"errors"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/xks"
	"github.com/strongroom/strongroom/xks/client"
)

// inner is where the KMS keys' own material is: the default store of the Region.
type inner interface {
	backend.Backend
	backend.Sealer
}

// Backend is a connected external key store. A handle's ID and Label name the key's own material on the default token,
// External is the key behind the proxy. It may be used by many goroutines at once.
type Backend struct {
	owner  *Proxies
	name   Name
	client *client.Client
	inner  inner
	uri    string
	since  time.Time // that the store has its credential
	flight flight
}

var (
	_ backend.Backend = (*Backend)(nil)
	_ backend.Sealer  = (*Backend)(nil)
	_ backend.Drainer = (*Backend)(nil)
)

// serving counts a call in, here or, where this connection was replaced by another of its store, there: a call that was on
// its way meanwhile must not fail. It gives the backend that the call is to use and to leave; nil where the store is
// disconnected.
func (b *Backend) serving() *Backend {
	if b.flight.enter() {
		return b
	}
	return b.owner.successor(b)
}

// Identity says where the external keys are: the proxy's URI stands for a token's label.
func (b *Backend) Identity() keystore.TokenIdentity { return keystore.TokenIdentity{Label: b.uri} }

// CreateKey makes nothing: it asks the proxy whether the external key exists and can back a KMS key. Its faults are those of
// CreateKey.
func (b *Backend) CreateKey(ctx context.Context, h backend.Handle) (backend.Created, error) {
	b = b.serving()
	if b == nil {
		return backend.Created{}, NotConnected(ForKey)
	}
	defer b.flight.leave()
	answer, err := b.client.Metadata(ctx, h.External, &xks.MetadataRequest{Metadata: b.owner.metadata(&h, keystore.ActionCreateKey, false)})
	if client.ClassOf(err) == client.BadCall {
		return backend.Created{}, keystore.Faultf(keystore.KindValidation,
			"The XksKeyId is not valid, or too long for the URI of this external key store.").Because(err)
	}
	if err != nil {
		return backend.Created{}, Fault(err, ForKey)
	}
	if f := CheckKey(&answer); f != nil {
		return backend.Created{}, f
	}
	return backend.Created{}, nil
}

// DestroyKey never destroys anything: an external key is not ours.
func (b *Backend) DestroyKey(context.Context, backend.Handle) (found bool, err error) {
	return false, nil
}

// Health asks the proxy how it is. Its faults are for operators.
func (b *Backend) Health(ctx context.Context) error {
	if !b.flight.enter() {
		return NotConnected(ForKey)
	}
	defer b.flight.leave()
	if _, err := b.owner.askHealth(ctx, b.client, xks.KMSHealthCheck, ""); err != nil {
		return backend.Unreachable(keystore.StoreXKS, backend.CallManage).Because(err)
	}
	return nil
}

// Seal encrypts with the key's own material, and what that gives with the external key, whose answer must bear a data
// integrity value that is right. Failures of the proxy are Faults of kind KMSInvalidState.
func (b *Backend) Seal(ctx context.Context, h *backend.Handle, aad, plaintext, dst []byte) ([]byte, error) {
	b = b.serving()
	if b == nil {
		return nil, NotConnected(ForCrypt)
	}
	defer b.flight.leave()
	sealed, err := b.inner.Seal(ctx, h, aad, plaintext, make([]byte, 0, len(plaintext)+backend.SealedOverhead))
	if err != nil {
		return nil, err
	}
	answer, err := b.client.Encrypt(ctx, h.External, &xks.EncryptRequest{
		Metadata: b.owner.metadata(h, keystore.ActionEncrypt, true), Plaintext: sealed, AAD: outerAAD(aad), CDIV: true,
	})
	if err != nil {
		return nil, Fault(err, ForCrypt)
	}
	return appendSealed(dst, &answer), nil
}

var errShort = errors.New("the proxy's plaintext is shorter than anything that was ever encrypted")

// Open undoes Seal. A ciphertext that the proxy refuses, or whose plaintext is not one that Seal gave to the proxy, is
// KMSInvalidState with AWS's text for each; what has no form of ours is InvalidCiphertext, and the proxy is not asked.
func (b *Backend) Open(ctx context.Context, h *backend.Handle, aad, sealed, dst []byte) ([]byte, error) {
	b = b.serving()
	if b == nil {
		return nil, NotConnected(ForCrypt)
	}
	defer b.flight.leave()
	req, err := parseSealed(sealed)
	if err != nil {
		return nil, &keystore.Fault{Kind: keystore.KindInvalidCiphertext, Cause: err}
	}
	req.Metadata, req.AAD = b.owner.metadata(h, keystore.ActionDecrypt, true), outerAAD(aad)
	answer, err := b.client.Decrypt(ctx, h.External, &req)
	if err != nil {
		return nil, Fault(err, ForCrypt)
	}
	if len(answer.Plaintext) < backend.SealedOverhead {
		return nil, InvalidInner(errShort)
	}
	opened, err := b.inner.Open(ctx, h, aad, answer.Plaintext, dst)
	if keystore.KindOf(err) == keystore.KindInvalidCiphertext {
		return nil, InvalidInner(err)
	}
	return opened, err
}

// Drain refuses new calls and waits for those in flight.
func (b *Backend) Drain(ctx context.Context) error { return b.flight.drain(ctx) }

// Close ends the connections to the proxy. The inner store is not its own.
func (b *Backend) Close() error {
	b.flight.close()
	b.client.Close()
	b.owner.closed(b)
	return nil
}
