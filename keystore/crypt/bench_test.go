package crypt_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/crypt"
)

// idle is a token that costs nothing, so that what is measured is the service.
type idle struct{ backend.Backend }

func (idle) Seal(_ context.Context, _ *backend.Handle, _, plaintext, dst []byte) ([]byte, error) {
	return append(append(dst, make([]byte, backend.SealedOverhead)...), plaintext...), nil
}

func (idle) Open(_ context.Context, _ *backend.Handle, _, sealed, dst []byte) ([]byte, error) {
	return append(dst, sealed[backend.SealedOverhead:]...), nil
}

func BenchmarkEncrypt(b *testing.B) {
	w := newWorld(b)
	k := w.key()
	w.stores[""] = idle{w.token}
	for name, caller := range map[string]*keystore.Caller{"root": w.root, "user": w.user("u", allow(`"kms:*"`))} {
		in := &crypt.EncryptInput{KeyID: string(k.ID), Plaintext: make([]byte, 32), EncryptionContext: map[string]string{"tenant": "acme"}}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.Encrypt(b.Context(), caller, in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecrypt(b *testing.B) {
	w := newWorld(b)
	k := w.key()
	w.stores[""] = idle{w.token}
	out, err := w.Encrypt(b.Context(), w.root, &crypt.EncryptInput{KeyID: string(k.ID), Plaintext: make([]byte, 32)})
	require.NoError(b, err)
	in := &crypt.DecryptInput{CiphertextBlob: out.CiphertextBlob}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Decrypt(b.Context(), w.root, in); err != nil {
			b.Fatal(err)
		}
	}
}
