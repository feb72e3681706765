package crypt_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/backend/backendtest"
	"github.com/strongroom/strongroom/keystore/crypt"
)

// softWorld is a world whose default store has key pairs.
func softWorld(t testing.TB, change ...func(*crypt.Config)) (*world, *soft) {
	t.Helper()
	w, token := newWorld(t), newSoft()
	w.stores[""] = token
	cfg := crypt.Config{DB: w.db, Resolver: w.stores, Gate: access.New(access.Config{Directory: w.db}), Clock: clock{}, Audit: w.watch,
		Observer: w.watch}
	for _, f := range change {
		f(&cfg)
	}
	w.Service = crypt.New(cfg)
	return w, token
}

func (w *world) pair(spec keystore.Spec, usage keystore.Usage, change ...func(*keystore.Key)) *keystore.Key {
	w.t.Helper()
	return w.key(append([]func(*keystore.Key){func(k *keystore.Key) { k.Spec, k.Usage = spec, usage }}, change...)...)
}

// operation is a request for one of the operations on asymmetric and HMAC keys.
type operation struct {
	name  keystore.Action
	spec  keystore.Spec
	usage keystore.Usage
	do    func(w *world, c *keystore.Caller, id string, dry bool) error
}

func operations(t testing.TB) []operation {
	peer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(peer.Public())
	require.NoError(t, err)
	ctx := t.Context()
	return []operation{
		{keystore.ActionSign, keystore.ECCP256, keystore.UsageSignVerify, func(w *world, c *keystore.Caller, id string, dry bool) error {
			_, err := w.Sign(ctx, c, &crypt.SignInput{KeyID: id, Message: []byte("m"), SigningAlgorithm: "ECDSA_SHA_256", DryRun: dry})
			return err
		}},
		{keystore.ActionVerify, keystore.ECCP256, keystore.UsageSignVerify, func(w *world, c *keystore.Caller, id string, dry bool) error {
			_, err := w.Verify(ctx, c, &crypt.VerifyInput{KeyID: id, Message: []byte("m"), SigningAlgorithm: "ECDSA_SHA_256", Signature: []byte("s"), DryRun: dry})
			if keystore.KindOf(err) == keystore.KindInvalidSignature {
				return nil // it got as far as that
			}
			return err
		}},
		{keystore.ActionEncapsulate, keystore.MLKEM768, keystore.UsageEncapsulateDecp, func(w *world, c *keystore.Caller, id string, dry bool) error {
			_, err := w.Encapsulate(ctx, c, &crypt.EncapsulateInput{KeyID: id, EncapsulationAlgorithm: "ML_KEM", DryRun: dry})
			return err
		}},
		{keystore.ActionDecapsulate, keystore.MLKEM768, keystore.UsageEncapsulateDecp, func(w *world, c *keystore.Caller, id string, dry bool) error {
			_, err := w.Decapsulate(ctx, c, &crypt.DecapsulateInput{Ciphertext: make([]byte, mlkem.CiphertextSize768),
				EncapsulateInput: crypt.EncapsulateInput{KeyID: id, EncapsulationAlgorithm: "ML_KEM", DryRun: dry}})
			return err
		}},
		{keystore.ActionGenerateMac, keystore.HMAC256, keystore.UsageMAC, func(w *world, c *keystore.Caller, id string, dry bool) error {
			_, err := w.GenerateMac(ctx, c, &crypt.MacInput{KeyID: id, Message: []byte("m"), MacAlgorithm: "HMAC_SHA_256", DryRun: dry})
			return err
		}},
		{keystore.ActionVerifyMac, keystore.HMAC256, keystore.UsageMAC, func(w *world, c *keystore.Caller, id string, dry bool) error {
			_, err := w.VerifyMac(ctx, c, &crypt.VerifyMacInput{Mac: []byte("m"),
				MacInput: crypt.MacInput{KeyID: id, Message: []byte("m"), MacAlgorithm: "HMAC_SHA_256", DryRun: dry}})
			if keystore.KindOf(err) == keystore.KindInvalidMac {
				return nil
			}
			return err
		}},
		{keystore.ActionDeriveSharedSecret, keystore.ECCP256, keystore.UsageKeyAgreement, func(w *world, c *keystore.Caller, id string, dry bool) error {
			_, err := w.DeriveSharedSecret(ctx, c, &crypt.DeriveSharedSecretInput{KeyID: id, PublicKey: der, KeyAgreementAlgorithm: "ECDH", DryRun: dry})
			return err
		}},
		{keystore.ActionGenerateDataKeyPair, keystore.SymmetricDefault, keystore.UsageEncryptDecrypt, func(w *world, c *keystore.Caller, id string, dry bool) error {
			_, err := w.GenerateDataKeyPair(ctx, c, &crypt.DataKeyPairInput{KeyID: id, KeyPairSpec: "ECC_NIST_P256", DryRun: dry})
			return err
		}},
		{keystore.ActionGenerateDataKeyPairWithoutPlaintext, keystore.SymmetricDefault, keystore.UsageEncryptDecrypt, func(w *world, c *keystore.Caller, id string, dry bool) error {
			_, err := w.GenerateDataKeyPairWithoutPlaintext(ctx, c, &crypt.DataKeyPairInput{KeyID: id, KeyPairSpec: "ECC_NIST_P256", DryRun: dry})
			return err
		}},
		{keystore.ActionGetPublicKey, keystore.ECCP256, keystore.UsageSignVerify, func(w *world, c *keystore.Caller, id string, _ bool) error {
			_, err := w.GetPublicKey(ctx, c, &crypt.PublicKeyInput{KeyID: id})
			return err
		}},
	}
}

func TestAsymmetricOperationsInEveryState(t *testing.T) {
	w, _ := softWorld(t)
	for _, op := range operations(t) {
		for _, state := range []keystore.State{keystore.Enabled, keystore.Disabled, keystore.PendingDeletion, keystore.PendingImport} {
			t.Run(string(op.name)+" "+string(state), func(t *testing.T) {
				k := w.pair(op.spec, op.usage, func(k *keystore.Key) { k.State = state })
				want := keystore.Admit(op.name, k, keystore.Connected)
				got := op.do(w, w.root, string(k.ID), false)
				if want == nil {
					require.NoError(t, got)
					return
				}
				assert.Equal(t, want.Error(), got.Error())
				before := len(w.watch.uses)
				_ = op.do(w, w.root, string(k.ID), true)
				if state == keystore.PendingDeletion {
					assert.Len(t, w.watch.uses, before+1, "attempts to use a key that is pending deletion are marked, under DryRun too")
				}
			})
		}
	}
}

func TestAsymmetricOperationsAreAuthorised(t *testing.T) {
	w, _ := softWorld(t)
	for _, op := range operations(t) {
		t.Run(string(op.name), func(t *testing.T) {
			k := w.pair(op.spec, op.usage)
			require.NoError(t, op.do(w, w.user("may", allow(`"kms:`+string(op.name)+`"`)), k.ARN(), false))
			for _, dry := range []bool{false, true} {
				faulty(t, op.do(w, w.user("may not", allow(`"kms:DescribeKey"`)), k.ARN(), dry), keystore.KindAccessDenied, "*")
			}
		})
	}
}

// The condition keys of the developer guide decide, with the values of the request.
func TestAsymmetricConditionKeys(t *testing.T) {
	w, _ := softWorld(t)
	ops := map[keystore.Action]operation{}
	for _, op := range operations(t) {
		ops[op.name] = op
	}
	for _, c := range []struct {
		action           keystore.Action
		key, good, wrong string
	}{
		{keystore.ActionSign, "kms:SigningAlgorithm", "ECDSA_SHA_256", "ECDSA_SHA_384"},
		{keystore.ActionSign, "kms:MessageType", "RAW", "DIGEST"},
		{keystore.ActionVerify, "kms:SigningAlgorithm", "ECDSA_SHA_256", "ECDSA_SHA_384"},
		{keystore.ActionVerify, "kms:MessageType", "RAW", "DIGEST"},
		{keystore.ActionGenerateMac, "kms:MacAlgorithm", "HMAC_SHA_256", "HMAC_SHA_224"},
		{keystore.ActionVerifyMac, "kms:MacAlgorithm", "HMAC_SHA_256", "HMAC_SHA_224"},
		{keystore.ActionDeriveSharedSecret, "kms:KeyAgreementAlgorithm", "ECDH", "SM2"},
		{keystore.ActionGenerateDataKeyPair, "kms:DataKeyPairSpec", "ECC_NIST_P256", "RSA_2048"},
		{keystore.ActionGenerateDataKeyPairWithoutPlaintext, "kms:DataKeyPairSpec", "ECC_NIST_P256", "RSA_2048"},
		{keystore.ActionSign, "kms:RequestAlias", "alias/a-Sign", "alias/b"},
	} {
		op := ops[c.action]
		k := w.pair(op.spec, op.usage)
		w.update(func(tx keystore.Tx) error {
			a := &keystore.Alias{Name: "alias/a-" + string(c.action), Account: account, Region: region, Target: k.ID}
			if _, err := tx.Alias(region, a.Name); err == nil {
				return tx.DeleteAlias(region, a.Name)
			}
			return nil
		})
		w.update(func(tx keystore.Tx) error {
			return tx.InsertAlias(&keystore.Alias{Name: "alias/a-" + string(c.action), Account: account, Region: region, Target: k.ID})
		})
		for value, allowed := range map[string]bool{c.good: true, c.wrong: false} {
			t.Run(fmt.Sprintf("%s %s %s", c.action, c.key, value), func(t *testing.T) {
				caller := w.user("u", fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*",`+
					`"Condition":{"StringEquals":{%q:%q}}}]}`, c.key, value))
				for _, id := range []string{"alias/a-" + string(c.action), k.ARN()} {
					err := op.do(w, caller, id, false)
					if allowed && (c.key != "kms:RequestAlias" || id != k.ARN()) {
						require.NoError(t, err)
					} else {
						faulty(t, err, keystore.KindAccessDenied, "*")
					}
				}
			})
		}
	}
}

func TestPublicKeysNeedOneCall(t *testing.T) {
	w, token := softWorld(t)
	k := w.pair(keystore.ECCP256, keystore.UsageSignVerify)
	sealer := w.pair(keystore.RSA2048, keystore.UsageEncryptDecrypt)
	signed, err := w.Sign(t.Context(), w.root, &crypt.SignInput{KeyID: k.ARN(), Message: []byte("m"), SigningAlgorithm: "ECDSA_SHA_256"})
	require.NoError(t, err)
	verify := func() error {
		_, err := w.Verify(t.Context(), w.root, &crypt.VerifyInput{KeyID: k.ARN(), Message: []byte("m"), SigningAlgorithm: "ECDSA_SHA_256", Signature: signed.Signature})
		return err
	}
	encrypt := func() error {
		_, err := w.Encrypt(t.Context(), w.root, &crypt.EncryptInput{KeyID: sealer.ARN(), Plaintext: []byte("m"), EncryptionAlgorithm: "RSAES_OAEP_SHA_256"})
		return err
	}
	require.NoError(t, verify())
	require.NoError(t, encrypt())
	assert.Equal(t, 2, token.count("PublicKey"))

	token.fail(errLost)
	require.NoError(t, verify(), "a token that is away is not needed")
	require.NoError(t, encrypt())
	out, err := w.GetPublicKey(t.Context(), w.root, &crypt.PublicKeyInput{KeyID: k.ARN()})
	require.NoError(t, err)
	parsed, err := x509.ParsePKIXPublicKey(out.PublicKey)
	require.NoError(t, err)
	digest := sha256.Sum256([]byte("m"))
	assert.True(t, ecdsa.VerifyASN1(parsed.(*ecdsa.PublicKey), digest[:], signed.Signature))
	assert.Equal(t, 2, token.count("PublicKey"))

	fresh := w.pair(keystore.ECCP256, keystore.UsageSignVerify)
	_, err = w.GetPublicKey(t.Context(), w.root, &crypt.PublicKeyInput{KeyID: fresh.ARN()})
	require.ErrorIs(t, err, errLost, "a failure is not kept")
	token.fail(nil)
	_, err = w.GetPublicKey(t.Context(), w.root, &crypt.PublicKeyInput{KeyID: fresh.ARN()})
	require.NoError(t, err)

	// An authorisation that was taken away counts at once, key in memory or not.
	_, err = w.GetPublicKey(t.Context(), w.user("u"), &crypt.PublicKeyInput{KeyID: k.ARN()})
	faulty(t, err, keystore.KindAccessDenied, "*")
}

func TestPublicKeysAreBounded(t *testing.T) {
	w, token := softWorld(t, func(c *crypt.Config) { c.PublicKeys = 2 })
	var keys []*keystore.Key
	for range 5 {
		keys = append(keys, w.pair(keystore.ECCP256, keystore.UsageSignVerify))
	}
	for round := range 3 {
		for _, k := range keys {
			out, err := w.GetPublicKey(t.Context(), w.root, &crypt.PublicKeyInput{KeyID: k.ARN()})
			require.NoError(t, err)
			want, err := token.PublicKey(t.Context(), &backend.Handle{ID: k.Current().ID})
			require.NoError(t, err)
			assert.Equal(t, want, out.PublicKey)
		}
		// Our own questions aside, at most two of five keys were in memory.
		assert.GreaterOrEqual(t, token.count("PublicKey")-5*(round+1), 5+3*round)
	}
}

func TestPublicKeysThatAreNoneAreRefused(t *testing.T) {
	w, token := softWorld(t)
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	wrong, err := x509.MarshalPKIXPublicKey(other.Public())
	require.NoError(t, err)
	for name, der := range map[string][]byte{"another curve": wrong, "no DER": []byte("key")} {
		token.lies = der
		k := w.pair(keystore.ECCP256, keystore.UsageSignVerify)
		_, err := w.GetPublicKey(t.Context(), w.root, &crypt.PublicKeyInput{KeyID: k.ARN()})
		require.Error(t, err, name)
		faulty(t, err, keystore.KindInternal, "")
		rsaKey := w.pair(keystore.RSA2048, keystore.UsageEncryptDecrypt)
		_, err = w.Encrypt(t.Context(), w.root, &crypt.EncryptInput{KeyID: rsaKey.ARN(), Plaintext: []byte("m"), EncryptionAlgorithm: "RSAES_OAEP_SHA_1"})
		faulty(t, err, keystore.KindInternal, "")
	}
}

// A token that is lost, or cannot, is answered as its backend says; DryRun does not ask it.
func TestAsymmetricOperationsOnALostToken(t *testing.T) {
	w, token := softWorld(t)
	for _, op := range operations(t) {
		if op.spec == keystore.SymmetricDefault {
			continue // its own tests
		}
		k := w.pair(op.spec, op.usage)
		token.fail(errLost)
		require.ErrorIs(t, op.do(w, w.root, k.ARN(), false), errLost, op.name)
		if op.name != keystore.ActionGetPublicKey {
			faulty(t, op.do(w, w.root, k.ARN(), true), keystore.KindDryRunOperation, "The request would have succeeded, but the DryRun option is set.")
		}
		token.fail(nil)
		w.stores[""] = backendtest.NewMemory("poor") // it has no key pairs at all
		if op.name != keystore.ActionVerify {        // whose public key may be in memory
			faulty(t, op.do(w, w.root, k.ARN(), false), keystore.KindUnsupportedOperation, "The key store of "+k.ARN()+" can't do this.")
		}
		w.stores[""] = nil
		require.Error(t, op.do(w, w.root, w.absentPair(op).ARN(), false))
		w.stores[""] = token
	}
}

// absentPair adds a key whose material is nowhere.
func (w *world) absentPair(op operation) *keystore.Key {
	w.t.Helper()
	saved := w.stores[""]
	w.stores[""] = newSoft()
	defer func() { w.stores[""] = saved }()
	return w.pair(op.spec, op.usage)
}

func TestSignRefusesUnknownAlgorithms(t *testing.T) {
	w, _ := softWorld(t)
	k := w.pair(keystore.ECCP256, keystore.UsageSignVerify)
	for _, algorithm := range []string{"", "ECDSA_SHA_384", "RSASSA_PSS_SHA_256", "none"} {
		_, err := w.Sign(t.Context(), w.root, &crypt.SignInput{KeyID: k.ARN(), Message: []byte("m"), SigningAlgorithm: algorithm})
		faulty(t, err, keystore.KindInvalidKeyUsage, "Algorithm "+algorithm+" is incompatible with key spec ECC_NIST_P256.")
	}
	_, err := w.DeriveSharedSecret(t.Context(), w.root, &crypt.DeriveSharedSecretInput{KeyID: w.pair(keystore.ECCP256, keystore.UsageKeyAgreement).ARN(), KeyAgreementAlgorithm: "DH"})
	faulty(t, err, keystore.KindInvalidKeyUsage, "Algorithm DH is incompatible with key spec ECC_NIST_P256.")
}

// sealSpy keeps what it is given to seal.
type sealSpy struct {
	*soft
	seen [][]byte
	err  error
}

func (s *sealSpy) Seal(ctx context.Context, h *backend.Handle, aad, plaintext, dst []byte) ([]byte, error) {
	s.seen = append(s.seen, plaintext)
	if s.err != nil {
		return nil, s.err
	}
	return s.soft.Seal(ctx, h, aad, plaintext, dst)
}

func TestPrivateKeysOfDataKeyPairsAreWiped(t *testing.T) {
	w, token := softWorld(t)
	k := w.key()
	watch := &sealSpy{soft: token}
	w.stores[""] = watch
	for _, spec := range []string{"RSA_2048", "ECC_NIST_P256", "ECC_SECG_P256K1", "ECC_NIST_EDWARDS25519", "ML_KEM_768"} {
		in := &crypt.DataKeyPairInput{KeyID: k.ARN(), KeyPairSpec: spec}
		_, err := w.GenerateDataKeyPairWithoutPlaintext(t.Context(), w.root, in)
		require.NoError(t, err)
		shown, err := w.GenerateDataKeyPair(t.Context(), w.root, in)
		require.NoError(t, err)
		require.Len(t, watch.seen, 2)
		assert.Equal(t, make([]byte, len(watch.seen[0])), watch.seen[0], "%s: wiped", spec)
		assert.Equal(t, shown.PrivateKeyPlaintext, watch.seen[1])
		assert.NotEqual(t, make([]byte, len(watch.seen[1])), watch.seen[1])

		watch.err = errLost
		_, err = w.GenerateDataKeyPair(t.Context(), w.root, in)
		require.ErrorIs(t, err, errLost)
		assert.Equal(t, make([]byte, len(watch.seen[2])), watch.seen[2], "%s: wiped though it was to be shown", spec)
		watch.err, watch.seen = nil, nil
	}
}

// gated is randomness that waits.
type gated struct {
	waiting chan struct{}
	open    chan struct{}
}

func (g *gated) Read(p []byte) (int, error) {
	select {
	case g.waiting <- struct{}{}:
	default:
	}
	<-g.open
	return rand.Read(p)
}

func TestDataKeyPairsTakeTurns(t *testing.T) {
	g := &gated{waiting: make(chan struct{}, 64), open: make(chan struct{})}
	w, _ := softWorld(t, func(c *crypt.Config) { c.Random = g })
	in := &crypt.DataKeyPairInput{KeyID: w.key().ARN(), KeyPairSpec: "ECC_SECG_P256K1"}
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			_, err := w.GenerateDataKeyPair(context.WithoutCancel(t.Context()), w.root, in)
			assert.NoError(t, err)
		})
		<-g.waiting
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.GenerateDataKeyPair(ctx, w.root, in)
	faulty(t, err, keystore.KindDependencyTimeout, "Too many data key pairs are being made. Try again.")
	close(g.open)
	wg.Wait()
	_, err = w.GenerateDataKeyPair(t.Context(), w.root, in)
	require.NoError(t, err)
}

type broken struct{}

var errNoRandom = errors.New("no randomness")

func (broken) Read([]byte) (int, error) { return 0, errNoRandom }

func TestDataKeyPairWithoutRandomness(t *testing.T) {
	w, _ := softWorld(t, func(c *crypt.Config) { c.Random = broken{} })
	_, err := w.GenerateDataKeyPair(t.Context(), w.root, &crypt.DataKeyPairInput{KeyID: w.key().ARN(), KeyPairSpec: "ECC_SECG_P256K1"})
	require.ErrorIs(t, err, errNoRandom)
	faulty(t, err, keystore.KindInternal, "")
}

func TestDataKeyPairsInCustomKeyStores(t *testing.T) {
	w := newWorld(t)
	store, _ := w.store(keystore.StoreCloudHSM)
	k := w.inStore(store)
	_, err := w.GenerateDataKeyPair(t.Context(), w.root, &crypt.DataKeyPairInput{KeyID: k.ARN(), KeyPairSpec: "RSA_2048"})
	faulty(t, err, keystore.KindUnsupportedOperation, k.ARN()+" origin is AWS_CLOUDHSM which is not valid for this operation.")
}

func TestMessagesOfEveryType(t *testing.T) {
	w, token := softWorld(t)
	k := w.pair(keystore.ECCP256, keystore.UsageSignVerify)
	signer := token.pair(&backend.Handle{ID: k.Current().ID})
	message := []byte("message")
	digest := sha256.Sum256(message)
	public := signer.Public().(*ecdsa.PublicKey)
	for kind, input := range map[string][]byte{"": message, "RAW": message, "DIGEST": digest[:]} {
		given := bytes.Clone(input)
		out, err := w.Sign(t.Context(), w.root, &crypt.SignInput{KeyID: k.ARN(), Message: given, MessageType: kind, SigningAlgorithm: "ECDSA_SHA_256"})
		require.NoError(t, err)
		assert.True(t, ecdsa.VerifyASN1(public, digest[:], out.Signature), kind)
		assert.Equal(t, input, given, "the request is not changed")
	}
	signature, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	require.NoError(t, err)
	for kind, input := range map[string][]byte{"": message, "RAW": message, "DIGEST": digest[:]} {
		_, err = w.Verify(t.Context(), w.root, &crypt.VerifyInput{KeyID: k.ARN(), Message: input, MessageType: kind, SigningAlgorithm: "ECDSA_SHA_256", Signature: signature})
		require.NoError(t, err)
	}
}

func BenchmarkVerify(b *testing.B) {
	w, _ := softWorld(b)
	k := w.pair(keystore.ECCP256, keystore.UsageSignVerify)
	out, err := w.Sign(b.Context(), w.root, &crypt.SignInput{KeyID: k.ARN(), Message: []byte("m"), SigningAlgorithm: "ECDSA_SHA_256"})
	require.NoError(b, err)
	in := &crypt.VerifyInput{KeyID: k.ARN(), Message: []byte("m"), SigningAlgorithm: "ECDSA_SHA_256", Signature: out.Signature}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Verify(b.Context(), w.root, in); err != nil {
			b.Fatal(err)
		}
	}
}
