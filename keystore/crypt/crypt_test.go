package crypt_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/backend/backendtest"
	"github.com/strongroom/strongroom/keystore/crypt"
	"github.com/strongroom/strongroom/keystore/envelope"
)

func TestEncryptAndDecrypt(t *testing.T) {
	w := newWorld(t)
	store, _ := w.store(keystore.StoreCloudHSM)
	context := map[string]string{"tenant": "acme", "": "x"}
	for name, k := range map[string]*keystore.Key{"default store": w.key(), "custom key store": w.inStore(store)} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{1, 16, 4095, 4096} {
				plain := bytes.Repeat([]byte{7}, n)
				out, err := w.Encrypt(t.Context(), w.root, &crypt.EncryptInput{KeyID: k.ARN(), Plaintext: plain, EncryptionContext: context})
				require.NoError(t, err)
				assert.Equal(t, k.ARN(), out.KeyARN)
				assert.Equal(t, "SYMMETRIC_DEFAULT", out.EncryptionAlgorithm)
				assert.Len(t, out.CiphertextBlob, n+envelope.HeaderSize+backend.SealedOverhead)
				assert.Equal(t, len(out.CiphertextBlob), cap(out.CiphertextBlob), "one allocation of the right size")
				for _, id := range []string{"", string(k.ID), k.ARN()} {
					got, err := w.Decrypt(t.Context(), w.root, &crypt.DecryptInput{CiphertextBlob: out.CiphertextBlob, KeyID: id, EncryptionContext: context})
					require.NoError(t, err)
					assert.Equal(t, plain, got.Plaintext)
					assert.Equal(t, k.ARN(), got.KeyARN)
					if k.StoreID == "" {
						assert.Equal(t, k.Current().KeyMaterialID(), got.KeyMaterialID)
					} else {
						assert.Empty(t, got.KeyMaterialID, "custom store keys show none")
					}
				}
			}
		})
	}
}

func TestEncryptByAlias(t *testing.T) {
	w := newWorld(t)
	k := w.key()
	w.update(func(tx keystore.Tx) error {
		return tx.InsertAlias(&keystore.Alias{Name: "alias/a", Account: account, Region: region, Target: k.ID})
	})
	for _, id := range []string{"alias/a", keystore.AliasARN(region, account, "alias/a")} {
		out, err := w.Encrypt(t.Context(), w.root, &crypt.EncryptInput{KeyID: id, Plaintext: []byte("x")})
		require.NoError(t, err)
		assert.Equal(t, k.ARN(), out.KeyARN, "the answer names the key, not the alias")
	}
	_, err := w.Encrypt(t.Context(), w.root, &crypt.EncryptInput{KeyID: "alias/b", Plaintext: []byte("x")})
	faulty(t, err, keystore.KindNotFound, "Alias "+keystore.AliasARN(region, account, "alias/b")+" is not found.")
	_, err = w.Encrypt(t.Context(), w.root, &crypt.EncryptInput{KeyID: absent, Plaintext: []byte("x")})
	faulty(t, err, keystore.KindNotFound, "Key '"+keystore.KeyARN(region, account, absent)+"' does not exist")

	// kms:RequestAlias is the alias that was asked for, in either form; there is none for a key id.
	bound := w.user("bound", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:Encrypt","Resource":"*",`+
		`"Condition":{"StringEquals":{"kms:RequestAlias":"alias/a","kms:EncryptionAlgorithm":"SYMMETRIC_DEFAULT"}}}]}`)
	for _, id := range []string{"alias/a", keystore.AliasARN(region, account, "alias/a")} {
		_, err = w.Encrypt(t.Context(), bound, &crypt.EncryptInput{KeyID: id, Plaintext: []byte("x")})
		require.NoError(t, err)
	}
	_, err = w.Encrypt(t.Context(), bound, &crypt.EncryptInput{KeyID: string(k.ID), Plaintext: []byte("x")})
	faulty(t, err, keystore.KindAccessDenied, "*")
}

func TestDecryptRefusesWhatWasAltered(t *testing.T) {
	w := newWorld(t)
	k := w.key()
	other := w.key()
	context := map[string]string{"a": "b"}
	blob := w.encrypt(k, "plaintext", context)
	open := func(blob []byte, keyID string, context map[string]string) error {
		_, err := w.Decrypt(t.Context(), w.root, &crypt.DecryptInput{CiphertextBlob: blob, KeyID: keyID, EncryptionContext: context})
		return err
	}
	require.NoError(t, open(blob, "", context))
	for name, wrong := range map[string]map[string]string{
		"none": nil, "value": {"a": "c"}, "key": {"b": "b"}, "case": {"A": "b"}, "more": {"a": "b", "c": "d"},
	} {
		err := open(blob, "", wrong)
		faulty(t, err, keystore.KindInvalidCiphertext, "")
		assert.Error(t, err, name)
	}
	for i := range blob {
		bad := bytes.Clone(blob)
		bad[i] ^= 1
		err := open(bad, string(k.ID), context)
		if i >= 4 && i < 20 {
			faulty(t, err, keystore.KindIncorrectKey, "*") // it names another key now
			faulty(t, open(bad, "", context), keystore.KindAccessDenied, "The ciphertext refers to a customer master key that does not exist, "+
				"does not exist in this region, or you are not allowed to access.")
			continue
		}
		if i == 3 { // the other form of key id
			require.Error(t, err)
			continue
		}
		faulty(t, err, keystore.KindInvalidCiphertext, "")
		faulty(t, open(bad, "", context), keystore.KindInvalidCiphertext, "")
	}
	for n := 1; n < len(blob); n++ {
		faulty(t, open(blob[:n], "", context), keystore.KindInvalidCiphertext, "")
		faulty(t, open(blob[:n], string(k.ID), context), keystore.KindInvalidCiphertext, "")
	}
	faulty(t, open(blob, string(other.ID), context), keystore.KindIncorrectKey,
		"The key ID in the request does not identify a CMK that can perform this operation.")
	// A blob that is made to name another key does not open under it.
	forged, err := envelope.Decode(blob)
	require.NoError(t, err)
	moved, err := envelope.Encode(nil, other.ID, envelope.MaterialOf(other.Current()), forged.Sealed)
	require.NoError(t, err)
	faulty(t, open(moved, "", context), keystore.KindInvalidCiphertext, "")
}

// Two keys with the same material can't open each other's ciphertexts: the key id is bound into them.
func TestBlobIsBoundToItsKey(t *testing.T) {
	w := newWorld(t)
	k := w.key()
	twin := w.key()
	w.update(func(tx keystore.Tx) error {
		stored, err := tx.Key(region, twin.ID)
		if err != nil {
			return err
		}
		stored.Materials = k.Materials
		return tx.UpdateKey(stored)
	})
	blob, err := envelope.Decode(w.encrypt(k, "plaintext", nil))
	require.NoError(t, err)
	forged, err := envelope.Encode(nil, twin.ID, blob.Material, blob.Sealed)
	require.NoError(t, err)
	_, err = w.Decrypt(t.Context(), w.root, &crypt.DecryptInput{CiphertextBlob: forged})
	require.Error(t, err)
}

func TestDecryptWithoutKeyIDHidesWhatIsForbidden(t *testing.T) {
	w := newWorld(t)
	k := w.key()
	blob := w.encrypt(k, "plaintext", nil)
	stranger := w.user("stranger")
	_, err := w.Decrypt(t.Context(), stranger, &crypt.DecryptInput{CiphertextBlob: blob})
	faulty(t, err, keystore.KindAccessDenied, "The ciphertext refers to a customer master key that does not exist, does not exist in "+
		"this region, or you are not allowed to access.")
	_, err = w.Decrypt(t.Context(), stranger, &crypt.DecryptInput{CiphertextBlob: blob, KeyID: string(k.ID)})
	faulty(t, err, keystore.KindAccessDenied, "*")
	assert.Contains(t, err.Error(), "kms:Decrypt")
	abroad := *w.root
	abroad.Region = "eu-west-1"
	_, err = w.Decrypt(t.Context(), &abroad, &crypt.DecryptInput{CiphertextBlob: blob})
	faulty(t, err, keystore.KindAccessDenied, "*")
	// Who may not use a key does not learn that the ciphertext is another key's.
	_, err = w.Decrypt(t.Context(), stranger, &crypt.DecryptInput{CiphertextBlob: blob, KeyID: string(w.key().ID)})
	faulty(t, err, keystore.KindAccessDenied, "*")
}

func TestEarlierMaterialOpensForEver(t *testing.T) {
	w := newWorld(t)
	k := w.key()
	var blobs [][]byte
	var ids []string
	for i := range 5 {
		blobs = append(blobs, w.encrypt(k, fmt.Sprint("text ", i), nil))
		ids = append(ids, k.Current().KeyMaterialID())
		w.update(func(tx keystore.Tx) error {
			stored, err := tx.Key(region, k.ID)
			if err != nil {
				return err
			}
			w.addMaterial(stored)
			k = stored
			return tx.UpdateKey(stored)
		})
	}
	for i, blob := range blobs {
		out, err := w.Decrypt(t.Context(), w.root, &crypt.DecryptInput{CiphertextBlob: blob})
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprint("text ", i), string(out.Plaintext))
		assert.Equal(t, ids[i], out.KeyMaterialID)
	}
	out, err := w.ReEncrypt(t.Context(), w.root, &crypt.ReEncryptInput{CiphertextBlob: blobs[0], DestinationKeyID: string(k.ID)})
	require.NoError(t, err)
	assert.Equal(t, ids[0], out.SourceKeyMaterialID)
	assert.Equal(t, k.Current().KeyMaterialID(), out.DestinationKeyMaterialID)
}

func TestReEncrypt(t *testing.T) {
	w := newWorld(t)
	store, _ := w.store(keystore.StoreCloudHSM)
	a, b := w.key(), w.inStore(store)
	blob := w.encrypt(a, "plaintext", map[string]string{"v": "1"})
	for _, source := range []string{"", string(a.ID)} {
		out, err := w.ReEncrypt(t.Context(), w.root, &crypt.ReEncryptInput{CiphertextBlob: blob, SourceKeyID: source,
			SourceEncryptionContext: map[string]string{"v": "1"}, DestinationKeyID: b.ARN(),
			DestinationEncryptionContext: map[string]string{"v": "2"}})
		require.NoError(t, err)
		assert.Equal(t, &crypt.ReEncryptOutput{CiphertextBlob: out.CiphertextBlob, SourceKeyARN: a.ARN(), DestinationKeyARN: b.ARN(),
			SourceEncryptionAlgorithm: "SYMMETRIC_DEFAULT", DestinationEncryptionAlgorithm: "SYMMETRIC_DEFAULT",
			SourceKeyMaterialID: a.Current().KeyMaterialID()}, out)
		got, err := w.Decrypt(t.Context(), w.root, &crypt.DecryptInput{CiphertextBlob: out.CiphertextBlob, EncryptionContext: map[string]string{"v": "2"}})
		require.NoError(t, err)
		assert.Equal(t, "plaintext", string(got.Plaintext))
	}
	re := func(c *keystore.Caller, in crypt.ReEncryptInput) error {
		in.CiphertextBlob, in.SourceEncryptionContext = blob, map[string]string{"v": "1"}
		_, err := w.ReEncrypt(t.Context(), c, &in)
		return err
	}
	faulty(t, re(w.root, crypt.ReEncryptInput{DestinationKeyID: absent}), keystore.KindNotFound, "*")
	faulty(t, re(w.root, crypt.ReEncryptInput{SourceKeyID: string(b.ID), DestinationKeyID: string(b.ID)}), keystore.KindIncorrectKey, "*")
	for actions, kind := range map[string]keystore.Kind{
		`"kms:ReEncryptFrom"`:                     keystore.KindAccessDenied,
		`"kms:ReEncryptTo"`:                       keystore.KindAccessDenied,
		`"kms:ReEncrypt"`:                         keystore.KindAccessDenied,
		`"kms:ReEncryptFrom","kms:ReEncryptTo"`:   "",
		`"kms:ReEncrypt*"`:                        "",
		`"kms:Decrypt","kms:Encrypt","kms:List*"`: keystore.KindAccessDenied,
	} {
		err := re(w.user("u", allow(actions)), crypt.ReEncryptInput{SourceKeyID: string(a.ID), DestinationKeyID: string(b.ID)})
		assert.Equal(t, kind, keystore.KindOf(err), "%s: %v", actions, err)
	}
	same := w.user("same", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:ReEncrypt*","Resource":"*",`+
		`"Condition":{"Bool":{"kms:ReEncryptOnSameKey":"true"}}}]}`)
	require.NoError(t, re(same, crypt.ReEncryptInput{SourceKeyID: string(a.ID), DestinationKeyID: string(a.ID)}))
	faulty(t, re(same, crypt.ReEncryptInput{SourceKeyID: string(a.ID), DestinationKeyID: string(b.ID)}), keystore.KindAccessDenied, "*")
}

func TestGenerateDataKey(t *testing.T) {
	w := newWorld(t)
	store, token := w.store(keystore.StoreCloudHSM)
	k, c := w.key(), w.inStore(store)
	context := map[string]string{"a": "b"}
	for _, q := range []struct {
		spec string
		n    *int32
		want int
	}{{"AES_128", nil, 16}, {"AES_256", nil, 32}, {"", ptr(int32(1)), 1}, {"", ptr(int32(1024)), 1024}} {
		for _, k := range []*keystore.Key{k, c} {
			in := &crypt.DataKeyInput{KeyID: string(k.ID), KeySpec: q.spec, NumberOfBytes: q.n, EncryptionContext: context}
			out, err := w.GenerateDataKey(t.Context(), w.root, in)
			require.NoError(t, err)
			assert.Len(t, out.Plaintext, q.want)
			assert.Equal(t, k.ARN(), out.KeyARN)
			assert.Equal(t, k.StoreID == "", out.KeyMaterialID != "")
			got, err := w.Decrypt(t.Context(), w.root, &crypt.DecryptInput{CiphertextBlob: out.CiphertextBlob, EncryptionContext: context})
			require.NoError(t, err)
			assert.Equal(t, out.Plaintext, got.Plaintext)
			out, err = w.GenerateDataKeyWithoutPlaintext(t.Context(), w.root, in)
			require.NoError(t, err)
			assert.Nil(t, out.Plaintext)
			got, err = w.Decrypt(t.Context(), w.root, &crypt.DecryptInput{CiphertextBlob: out.CiphertextBlob, EncryptionContext: context})
			require.NoError(t, err)
			assert.Len(t, got.Plaintext, q.want)
		}
	}
	assert.Equal(t, 8, token.Count(backendtest.Random), "the bytes come from the key's own token")
	const both = "Please specify either number of bytes or key spec."
	for _, in := range []crypt.DataKeyInput{{}, {KeySpec: "AES_256", NumberOfBytes: ptr(int32(32))}} {
		in.KeyID = string(k.ID)
		_, err := w.GenerateDataKey(t.Context(), w.root, &in)
		faulty(t, err, keystore.KindValidation, both)
	}
	for _, in := range []crypt.DataKeyInput{{NumberOfBytes: ptr(int32(0))}, {NumberOfBytes: ptr(int32(1025))}, {KeySpec: "AES_512"}} {
		in.KeyID = string(k.ID)
		_, err := w.GenerateDataKey(t.Context(), w.root, &in)
		faulty(t, err, keystore.KindValidation, "*")
	}
	// The permission is that of the operation.
	only := w.user("only", allow(`"kms:GenerateDataKeyWithoutPlaintext"`))
	_, err := w.GenerateDataKeyWithoutPlaintext(t.Context(), only, &crypt.DataKeyInput{KeyID: string(k.ID), KeySpec: "AES_256"})
	require.NoError(t, err)
	_, err = w.GenerateDataKey(t.Context(), only, &crypt.DataKeyInput{KeyID: string(k.ID), KeySpec: "AES_256"})
	faulty(t, err, keystore.KindAccessDenied, "*")
}

func TestGenerateRandom(t *testing.T) {
	w := newWorld(t)
	store, token := w.store(keystore.StoreCloudHSM)
	away, _ := w.store(keystore.StoreCloudHSM)
	w.stores[away] = nil
	external, _ := w.store(keystore.StoreXKS)
	random := func(n *int32, store keystore.StoreID) ([]byte, error) {
		out, err := w.GenerateRandom(t.Context(), w.root, &crypt.RandomInput{NumberOfBytes: n, CustomKeyStoreID: string(store)})
		if err != nil {
			return nil, err
		}
		return out.Plaintext, nil
	}
	a, err := random(ptr(int32(1024)), "")
	require.NoError(t, err)
	require.Len(t, a, 1024)
	b, err := random(ptr(int32(32)), store)
	require.NoError(t, err)
	require.Len(t, b, 32)
	assert.Equal(t, 1, token.Count(backendtest.Random))
	_, err = random(nil, "")
	faulty(t, err, keystore.KindValidation, "NumberOfBytes is required.")
	_, err = random(ptr(int32(0)), "")
	faulty(t, err, keystore.KindValidation, "1 validation error detected: Value '0' at 'numberOfBytes' failed to satisfy constraint: Member must have value greater than or equal to 1")
	_, err = random(ptr(int32(1025)), "")
	faulty(t, err, keystore.KindValidation, "1 validation error detected: Value '1025' at 'numberOfBytes' failed to satisfy constraint: Member must have value less than or equal to 1024")
	_, err = random(ptr(int32(1)), "cks-00000000000000000")
	faulty(t, err, keystore.KindCustomKeyStoreNotFound, "*")
	_, err = random(ptr(int32(1)), away)
	faulty(t, err, keystore.KindCustomKeyStoreInvalidState, "*")
	_, err = random(ptr(int32(1)), external)
	faulty(t, err, keystore.KindUnsupportedOperation, "*")
	w.stores[""] = nil
	_, err = random(ptr(int32(1)), "")
	faulty(t, err, keystore.KindDependencyTimeout, "*")
	_, err = w.GenerateRandom(t.Context(), w.user("u"), &crypt.RandomInput{NumberOfBytes: ptr(int32(1))})
	faulty(t, err, keystore.KindAccessDenied, "*")
}

// calls are the operations on one key, each given a key to use and whether it is a dry run.
func (w *world) calls(t *testing.T, sealed []byte) map[keystore.Action]func(k *keystore.Key, c *keystore.Caller, dry bool) error {
	return map[keystore.Action]func(*keystore.Key, *keystore.Caller, bool) error{
		keystore.ActionEncrypt: func(k *keystore.Key, c *keystore.Caller, dry bool) error {
			_, err := w.Encrypt(t.Context(), c, &crypt.EncryptInput{KeyID: k.ARN(), Plaintext: []byte("x"), DryRun: dry})
			return err
		},
		keystore.ActionDecrypt: func(k *keystore.Key, c *keystore.Caller, dry bool) error {
			_, err := w.Decrypt(t.Context(), c, &crypt.DecryptInput{KeyID: k.ARN(), CiphertextBlob: sealed, DryRun: dry})
			return err
		},
		keystore.ActionReEncrypt: func(k *keystore.Key, c *keystore.Caller, dry bool) error {
			_, err := w.ReEncrypt(t.Context(), c, &crypt.ReEncryptInput{SourceKeyID: k.ARN(), DestinationKeyID: k.ARN(), CiphertextBlob: sealed, DryRun: dry})
			return err
		},
		keystore.ActionGenerateDataKey: func(k *keystore.Key, c *keystore.Caller, dry bool) error {
			_, err := w.GenerateDataKey(t.Context(), c, &crypt.DataKeyInput{KeyID: k.ARN(), KeySpec: "AES_256", DryRun: dry})
			return err
		},
		keystore.ActionGenerateDataKeyWithoutPlaintext: func(k *keystore.Key, c *keystore.Caller, dry bool) error {
			_, err := w.GenerateDataKeyWithoutPlaintext(t.Context(), c, &crypt.DataKeyInput{KeyID: k.ARN(), KeySpec: "AES_256", DryRun: dry})
			return err
		},
	}
}

// Every operation in every state, as the table has it; a dry run differs only where the operation would succeed, and never
// touches the token. The order is: authorise, then state, then dry run, then cryptography.
func TestEveryOperationInEveryState(t *testing.T) {
	w := newWorld(t)
	nobody := w.user("nobody")
	for _, state := range keystore.States() {
		if state == keystore.Unavailable {
			continue
		}
		k := w.key()
		sealed := w.encrypt(k, "plaintext", nil)
		w.update(func(tx keystore.Tx) error {
			stored, err := tx.Key(region, k.ID)
			if err != nil {
				return err
			}
			stored.State = state
			return tx.UpdateKey(stored)
		})
		stated := k.Clone()
		stated.State = state
		for action, call := range w.calls(t, sealed) {
			want := keystore.Admit(action, stated, keystore.Connected)
			w.token.Mend()
			assert.Equal(t, want, call(k, w.root, false), "%s in %s", action, state)
			w.token.Down(errLost)
			dry := call(k, w.root, true)
			if want == nil {
				faulty(t, dry, keystore.KindDryRunOperation, "The request would have succeeded, but the DryRun option is set.")
			} else {
				assert.Equal(t, want, dry, "%s in %s", action, state)
			}
			faulty(t, call(k, nobody, true), keystore.KindAccessDenied, "*")
			w.token.Mend()
		}
	}
}

func TestKeysOfADisconnectedStore(t *testing.T) {
	w := newWorld(t)
	store, _ := w.store(keystore.StoreCloudHSM)
	k := w.inStore(store)
	sealed := w.encrypt(k, "plaintext", nil)
	w.stores[store] = nil
	for action, call := range w.calls(t, sealed) {
		for _, dry := range []bool{false, true} {
			err := call(k, w.root, dry)
			faulty(t, err, keystore.KindInvalidState, k.ARN()+" is unavailable.")
			assert.Error(t, err, action)
		}
	}
}

func TestTokensInTrouble(t *testing.T) {
	w := newWorld(t)
	k := w.key()
	sealed := w.encrypt(k, "plaintext", nil)
	for action, call := range w.calls(t, sealed) {
		w.token.Down(errLost)
		require.ErrorIs(t, call(k, w.root, false), errLost, action)
		w.token.Mend()
		require.NoError(t, call(k, w.root, false), "it works again by itself")
	}
	w.stores[""] = nil
	for action, call := range w.calls(t, sealed) {
		assert.Equal(t, keystore.KindKeyUnavailable, keystore.KindOf(call(k, w.root, false)), action)
	}
}

func TestOtherKindsOfKeys(t *testing.T) {
	w := newWorld(t)
	good := w.key()
	sealed := w.encrypt(good, "plaintext", nil)
	hmac := w.key(func(k *keystore.Key) { k.Spec, k.Usage = keystore.HMAC256, keystore.UsageMAC })
	for action, call := range w.calls(t, sealed) {
		err := call(hmac, w.root, false)
		if action == keystore.ActionDecrypt || action == keystore.ActionReEncrypt {
			faulty(t, err, keystore.KindIncorrectKey, "*") // recorded: it wins over the usage
			continue
		}
		faulty(t, err, keystore.KindInvalidKeyUsage, hmac.ARN()+" key usage is GENERATE_VERIFY_MAC which is not valid for "+string(action)+".")
	}
	_, err := w.Encrypt(t.Context(), w.root, &crypt.EncryptInput{KeyID: string(good.ID), Plaintext: []byte("x"), EncryptionAlgorithm: "RSAES_OAEP_SHA_256"})
	faulty(t, err, keystore.KindInvalidKeyUsage, "Algorithm RSAES_OAEP_SHA_256 is incompatible with key spec SYMMETRIC_DEFAULT.")
	_, err = w.Decrypt(t.Context(), w.root, &crypt.DecryptInput{KeyID: string(good.ID), CiphertextBlob: sealed, EncryptionAlgorithm: "RSAES_OAEP_SHA_256"})
	faulty(t, err, keystore.KindInvalidKeyUsage, "*")
	_, err = w.Decrypt(t.Context(), w.root, &crypt.DecryptInput{CiphertextBlob: sealed, EncryptionAlgorithm: "RSAES_OAEP_SHA_256"})
	faulty(t, err, keystore.KindValidation, "*")
	_, err = w.Encrypt(t.Context(), w.root, &crypt.EncryptInput{KeyID: string(good.ID), Plaintext: bytes.Repeat([]byte{1}, 4097)})
	faulty(t, err, keystore.KindValidation, "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096")
}

func TestIgnoreCiphertext(t *testing.T) {
	w := newWorld(t)
	k := w.key()
	ignore := []string{crypt.IgnoreCiphertext}
	decrypt := func(in crypt.DecryptInput) error {
		_, err := w.Decrypt(t.Context(), w.root, &in)
		return err
	}
	faulty(t, decrypt(crypt.DecryptInput{KeyID: string(k.ID), DryRun: true, DryRunModifiers: ignore}), keystore.KindDryRunOperation, "*")
	faulty(t, decrypt(crypt.DecryptInput{KeyID: string(k.ID), DryRun: true, DryRunModifiers: ignore, CiphertextBlob: []byte("garbage")}),
		keystore.KindDryRunOperation, "*")
	faulty(t, decrypt(crypt.DecryptInput{DryRun: true, DryRunModifiers: ignore}), keystore.KindValidation, "*")
	faulty(t, decrypt(crypt.DecryptInput{KeyID: string(k.ID), DryRunModifiers: ignore}), keystore.KindValidation, "*")
	faulty(t, decrypt(crypt.DecryptInput{KeyID: string(k.ID)}), keystore.KindValidation, "*")
	faulty(t, decrypt(crypt.DecryptInput{KeyID: string(k.ID), DryRun: true, CiphertextBlob: []byte("garbage")}),
		keystore.KindInvalidCiphertext, "")
	_, err := w.ReEncrypt(t.Context(), w.root, &crypt.ReEncryptInput{SourceKeyID: string(k.ID), DestinationKeyID: string(k.ID), DryRun: true, DryRunModifiers: ignore})
	faulty(t, err, keystore.KindDryRunOperation, "*")
	_, err = w.ReEncrypt(t.Context(), w.root, &crypt.ReEncryptInput{DestinationKeyID: string(k.ID), DryRun: true, DryRunModifiers: ignore})
	faulty(t, err, keystore.KindValidation, "1 validation error detected: Value null at 'sourceKeyId' failed to satisfy constraint: Member must not be null")
}

func TestUseOfAKeyPendingDeletionIsMarked(t *testing.T) {
	w := newWorld(t)
	k := w.key(func(k *keystore.Key) { k.State, k.DeletionDate = keystore.PendingDeletion, clock{}.Now() })
	in := &crypt.EncryptInput{KeyID: string(k.ID), Plaintext: []byte("x")}
	_, err := w.Encrypt(t.Context(), w.root, in)
	faulty(t, err, keystore.KindInvalidState, k.ARN()+" is pending deletion.")
	assert.Equal(t, []keystore.Action{keystore.ActionEncrypt}, w.watch.uses)
	require.Len(t, w.watch.events, 1)
	assert.Equal(t, "UseOfKeyPendingDeletion", w.watch.events[0].Name)
	_, err = w.Encrypt(t.Context(), w.user("stranger"), in)
	faulty(t, err, keystore.KindAccessDenied, "*")
	assert.Len(t, w.watch.uses, 1, "who may not use the key does not count")
	w.watch.err = errLost
	_, err = w.Encrypt(t.Context(), w.root, in)
	faulty(t, err, keystore.KindInternal, "*")
}

// Nothing of a plaintext stays in buffers that the service owned.
func TestPlaintextIsZeroed(t *testing.T) {
	w := newWorld(t)
	spy := &spy{Memory: w.token}
	w.stores[""] = spy
	k := w.key()
	in := &crypt.DataKeyInput{KeyID: string(k.ID), KeySpec: "AES_256"}
	_, err := w.GenerateDataKeyWithoutPlaintext(t.Context(), w.root, in)
	require.NoError(t, err)
	w.token.Fail(backendtest.Seal, 1, errLost)
	_, err = w.GenerateDataKey(t.Context(), w.root, in)
	require.ErrorIs(t, err, errLost)
	_, err = w.ReEncrypt(t.Context(), w.root, &crypt.ReEncryptInput{CiphertextBlob: w.encrypt(k, strings.Repeat("x", 50), nil), DestinationKeyID: string(k.ID)})
	require.NoError(t, err)
	require.Len(t, spy.secrets, 3)
	for _, s := range spy.secrets {
		assert.Equal(t, make([]byte, len(s)), s)
	}
	out, err := w.GenerateDataKey(t.Context(), w.root, in)
	require.NoError(t, err)
	assert.NotEqual(t, make([]byte, 32), out.Plaintext, "what the caller gets is the caller's")
}
