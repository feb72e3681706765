package hsmtest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/mlkem"
	"crypto/sha512"
	"testing"

	"filippo.io/mldsa"
	"github.com/cloudflare/circl/kem/mlkem/mlkem512"

	"github.com/strongroom/strongroom/hsm"
)

// suiteLattice holds an ML-DSA or ML-KEM key to what it is for.
func suiteLattice(t testing.TB, token *hsm.Token, kind hsm.Kind, uses hsm.Usage) {
	t.Helper()
	ctx := context.Background()
	if uses&hsm.UseSign != 0 {
		ref, pub := suitePair(t, token, kind, hsm.UseSign|hsm.UseVerify)
		for _, message := range [][]byte{{}, []byte("message"), bytes.Repeat([]byte{7}, 4096)} {
			sig, err := token.Sign(ctx, ref, hsm.Signing{Scheme: hsm.SignMLDSA}, message)
			check(t, err)
			if err := VerifyMLDSA(kind, pub.Raw, message, sig); err != nil {
				t.Fatalf("%d bytes: %v", len(message), err)
			}
			if VerifyMLDSA(kind, pub.Raw, append(message, 1), sig) == nil {
				t.Fatal("the signature is of anything")
			}
		}
		suiteGone(t, token, ref)
		return
	}
	ref, pub := suitePair(t, token, kind, hsm.UseEncapsulate|hsm.UseDecapsulate)
	made, err := token.Encapsulate(ctx, ref)
	check(t, err)
	for _, c := range []hsm.Capsule{made, EncapsulateOutside(t, kind, pub.Raw)} {
		secret, err := token.Decapsulate(ctx, ref, c.Ciphertext)
		check(t, err)
		if len(secret) != hsm.SharedSecretSize || !bytes.Equal(secret, c.Secret) {
			t.Fatal("another secret")
		}
		c.Ciphertext[3] ^= 1
		secret, err = token.Decapsulate(ctx, ref, c.Ciphertext)
		check(t, err) // implicit rejection
		if bytes.Equal(secret, c.Secret) {
			t.Fatal("an altered ciphertext carries the same secret")
		}
		if _, err := token.Decapsulate(ctx, ref, c.Ciphertext[1:]); hsm.ClassOf(err) != hsm.BadCiphertext {
			t.Fatalf("a short ciphertext: %v", err)
		}
	}
	suiteGone(t, token, ref)
}

// suiteGone destroys both halves of a pair.
func suiteGone(t testing.TB, token *hsm.Token, ref hsm.KeyRef) {
	t.Helper()
	n, err := token.Destroy(context.Background(), ref)
	check(t, err)
	if n != 2 {
		t.Fatalf("%d halves destroyed", n)
	}
}

// suitePrehash holds a token that has Ed25519ph to it.
func suitePrehash(t testing.TB, token *hsm.Token) {
	t.Helper()
	ref, pub := suitePair(t, token, hsm.Ed25519, hsm.UseSign|hsm.UseVerify)
	sig, err := token.Sign(context.Background(), ref, hsm.Signing{Scheme: hsm.SignEd25519ph}, []byte("message"))
	check(t, err)
	digest := sha512.Sum512([]byte("message"))
	key, ok := pub.Key.(ed25519.PublicKey)
	if !ok || ed25519.VerifyWithOptions(key, digest[:], sig, &ed25519.Options{Hash: crypto.SHA512}) != nil {
		t.Fatal("the signature is not of Ed25519ph")
	}
}

// VerifyMLDSA verifies a signature outside of any token, with an empty context.
func VerifyMLDSA(kind hsm.Kind, public, message, signature []byte) error {
	sets := map[hsm.Kind]mldsa.Parameters{hsm.MLDSA44: mldsa.MLDSA44(), hsm.MLDSA65: mldsa.MLDSA65(), hsm.MLDSA87: mldsa.MLDSA87()}
	key, err := mldsa.NewPublicKey(sets[kind], public)
	if err != nil {
		return err
	}
	return mldsa.Verify(key, message, signature, nil)
}

// EncapsulateOutside makes a secret for the holder of an ML-KEM key outside of any token.
func EncapsulateOutside(t testing.TB, kind hsm.Kind, public []byte) hsm.Capsule {
	t.Helper()
	var c hsm.Capsule
	switch kind {
	case hsm.MLKEM512:
		key, err := mlkem512.Scheme().UnmarshalBinaryPublicKey(public)
		check(t, err)
		c.Ciphertext, c.Secret, err = mlkem512.Scheme().Encapsulate(key)
		check(t, err)
	case hsm.MLKEM768:
		key, err := mlkem.NewEncapsulationKey768(public)
		check(t, err)
		c.Secret, c.Ciphertext = key.Encapsulate()
	case hsm.MLKEM1024:
		key, err := mlkem.NewEncapsulationKey1024(public)
		check(t, err)
		c.Secret, c.Ciphertext = key.Encapsulate()
	default:
		t.Fatalf("%s carries no secrets", kind)
	}
	return c
}
