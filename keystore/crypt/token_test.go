package crypt_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm/hsmstore"
	"github.com/strongroom/strongroom/hsm/hsmtest"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/crypt"
)

// On real tokens: what is encrypted on one is re-encrypted onto another; a token that is gone gives AWS's faults, and
// works again when it is back.
func TestOnRealTokens(t *testing.T) {
	w := newWorld(t)
	faults := hsmtest.Fault(t, "default", "cluster")
	w.stores[""] = hsmstore.NewDefault(faults.Open("default"))
	id, _ := w.store(keystore.StoreCloudHSM)
	cluster := hsmstore.NewCloudHSM(faults.Open("cluster"))
	w.stores[id] = cluster
	a, b := w.key(), w.inStore(id)
	context := map[string]string{"tenant": "acme"}

	out, err := w.GenerateDataKey(t.Context(), w.root, &crypt.DataKeyInput{KeyID: a.ARN(), KeySpec: "AES_256", EncryptionContext: context})
	require.NoError(t, err)
	moved, err := w.ReEncrypt(t.Context(), w.root, &crypt.ReEncryptInput{CiphertextBlob: out.CiphertextBlob,
		SourceEncryptionContext: context, DestinationKeyID: b.ARN()})
	require.NoError(t, err)
	open := func(blob []byte, context map[string]string) ([]byte, error) {
		got, err := w.Decrypt(t.Context(), w.root, &crypt.DecryptInput{CiphertextBlob: blob, EncryptionContext: context})
		if err != nil {
			return nil, err
		}
		return got.Plaintext, nil
	}
	for blob, context := range map[string]map[string]string{string(out.CiphertextBlob): context, string(moved.CiphertextBlob): nil} {
		got, err := open([]byte(blob), context)
		require.NoError(t, err)
		assert.Equal(t, out.Plaintext, got)
		_, err = open([]byte(blob), map[string]string{"tenant": "other"})
		faulty(t, err, keystore.KindInvalidCiphertext, "")
	}

	faults.Set("gone")
	_, err = open(out.CiphertextBlob, context)
	faulty(t, err, keystore.KindKeyUnavailable, "*")
	_, err = open(moved.CiphertextBlob, nil)
	faulty(t, err, keystore.KindInvalidState, "KMS cannot communicate with your CloudHSM cluster")
	faults.Set()
	require.Eventually(t, func() bool {
		_, err := open(moved.CiphertextBlob, nil)
		return err == nil
	}, time.Minute, 10*time.Millisecond, "no restart is needed")
}

func BenchmarkEncryptOnSoftHSM(b *testing.B) {
	w := newWorld(b)
	w.stores[""] = hsmstore.NewDefault(hsmtest.SoftHSM(b, "default").Open("default"))
	in := &crypt.EncryptInput{KeyID: string(w.key().ID), Plaintext: make([]byte, 32), EncryptionContext: map[string]string{"tenant": "acme"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Encrypt(b.Context(), w.root, in); err != nil {
			b.Fatal(err)
		}
	}
}
