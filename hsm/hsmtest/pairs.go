package hsmtest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"

	"github.com/strongroom/strongroom/hsm"
)

// suiteKinds makes a key of every kind that the token says it can make, and
// holds it to that.
func suiteKinds(t *testing.T, token *hsm.Token) {
	can, err := token.Capabilities(context.Background())
	check(t, err)
	if !can.Can(hsm.AES256, hsm.UseEncrypt|hsm.UseDecrypt) {
		t.Fatalf("no AES-GCM: %v", can.Reasons)
	}
	for kind, uses := range can.Uses {
		t.Run(kind.String(), func(t *testing.T) {
			switch {
			case kind == hsm.AES256:
				suiteImport(t, token)
				suiteWrap(t, token, can)
			case kind.Symmetric():
				suiteMAC(t, token, kind)
			case kind >= hsm.MLDSA44:
				suiteLattice(t, token, kind, uses)
			default:
				suiteSign(t, token, kind, can)
				if kind == hsm.Ed25519 && can.Prehash {
					suitePrehash(t, token)
				}
				if uses&hsm.UseDecrypt != 0 {
					suiteOAEP(t, token, kind, can)
				}
				if uses&hsm.UseDerive != 0 {
					suiteAgree(t, token, kind)
				}
			}
		})
	}
}

func suitePair(t testing.TB, token *hsm.Token, kind hsm.Kind, usage hsm.Usage) (hsm.KeyRef, hsm.PublicKey) {
	t.Helper()
	ctx, ref := context.Background(), Ref("suite: "+kind.String())
	_, err := token.GeneratePair(ctx, hsm.Template{KeyRef: ref, Kind: kind, Usage: usage})
	check(t, err)
	pub, err := token.PublicKey(ctx, ref)
	check(t, err)
	return ref, pub
}

func suiteSign(t testing.TB, token *hsm.Token, kind hsm.Kind, can hsm.Capabilities) {
	t.Helper()
	ctx := context.Background()
	ref, pub := suitePair(t, token, kind, hsm.UseSign|hsm.UseVerify)
	digest := sha256.Sum256([]byte("message"))
	sign := func(scheme hsm.Scheme, hash crypto.Hash) []byte {
		sig, err := token.Sign(ctx, ref, hsm.Signing{Scheme: scheme, Hash: hash}, digest[:])
		check(t, err)
		return sig
	}
	good := false
	switch key := pub.Key.(type) {
	case *rsa.PublicKey:
		good = rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], sign(hsm.SignPKCS1, crypto.SHA256)) == nil
		if can.PSS && good {
			good = rsa.VerifyPSS(key, crypto.SHA256, digest[:], sign(hsm.SignPSS, crypto.SHA256), nil) == nil
		}
	case *ecdsa.PublicKey:
		der, err := hsm.ECDSASignatureDER(sign(hsm.SignECDSA, crypto.SHA256))
		good = err == nil && ecdsa.VerifyASN1(key, digest[:], der)
	case ed25519.PublicKey:
		good = ed25519.Verify(key, digest[:], sign(hsm.SignEd25519, 0))
	default:
		good = hsm.VerifySecp256k1(pub.Point, digest[:], sign(hsm.SignECDSA, crypto.SHA256))
	}
	if !good {
		t.Fatal("the signature is wrong")
	}
	n, err := token.Destroy(ctx, ref)
	check(t, err)
	if n != 2 {
		t.Fatalf("%d halves destroyed", n)
	}
}

func suiteOAEP(t testing.TB, token *hsm.Token, kind hsm.Kind, can hsm.Capabilities) {
	t.Helper()
	ref, pub := suitePair(t, token, kind, hsm.UseEncrypt|hsm.UseDecrypt)
	key, ok := pub.Key.(*rsa.PublicKey)
	if !ok {
		t.Fatalf("the public key is a %T", pub.Key)
	}
	for hash, works := range can.OAEP {
		if !works {
			continue
		}
		sealed, err := rsa.EncryptOAEP(hash.New(), rand.Reader, key, []byte("text"), nil)
		check(t, err)
		opened, err := token.DecryptOAEP(context.Background(), ref, hash, sealed)
		check(t, err)
		if string(opened) != "text" {
			t.Fatalf("opened %q", opened)
		}
		sealed[1] ^= 1
		if _, err = token.DecryptOAEP(context.Background(), ref, hash, sealed); hsm.ClassOf(err) != hsm.BadCiphertext {
			t.Fatalf("altered: %v", err)
		}
	}
}

func suiteAgree(t testing.TB, token *hsm.Token, kind hsm.Kind) {
	t.Helper()
	ref, pub := suitePair(t, token, kind, hsm.UseDerive)
	curve := map[hsm.Kind]ecdh.Curve{hsm.ECP256: ecdh.P256(), hsm.ECP384: ecdh.P384(), hsm.ECP521: ecdh.P521()}[kind]
	if curve == nil {
		return // Go has no secp256k1 to compare with
	}
	theirs, err := curve.GenerateKey(rand.Reader)
	check(t, err)
	mine, err := curve.NewPublicKey(pub.Point)
	check(t, err)
	want, err := theirs.ECDH(mine)
	check(t, err)
	got, err := token.Agree(context.Background(), ref, theirs.PublicKey().Bytes())
	check(t, err)
	if !bytes.Equal(got, want) {
		t.Fatal("another secret than Go's")
	}
}

func suiteMAC(t testing.TB, token *hsm.Token, kind hsm.Kind) {
	t.Helper()
	ctx, ref := context.Background(), Ref("suite: "+kind.String())
	_, err := token.Generate(ctx, hsm.Template{KeyRef: ref, Kind: kind, Usage: hsm.UseSign | hsm.UseVerify})
	check(t, err)
	hash := map[int]crypto.Hash{224: crypto.SHA224, 256: crypto.SHA256, 384: crypto.SHA384, 512: crypto.SHA512}[kind.Bits()]
	one, err := token.MAC(ctx, ref, hash, []byte("message"))
	check(t, err)
	two, err := token.MAC(ctx, ref, hash, []byte("message"))
	check(t, err)
	if len(one) != hash.Size() || !bytes.Equal(one, two) {
		t.Fatal("no MAC")
	}
}

func suiteImport(t testing.TB, token *hsm.Token) {
	t.Helper()
	ctx, value := context.Background(), bytes.Repeat([]byte{0x42}, 32)
	one := hsm.Template{KeyRef: Ref("suite: import"), Kind: hsm.AES256, Usage: hsm.UseEncrypt | hsm.UseDecrypt}
	two := one
	two.KeyRef = Ref("suite: import again")
	for _, order := range []hsm.Template{one, two} {
		o, err := token.ImportSecret(ctx, order, value)
		check(t, err)
		if !o.Sensitive || o.Extractable {
			t.Fatalf("%+v", o)
		}
	}
	sealed, err := token.Seal(ctx, one.KeyRef, nil, []byte("text"), nil)
	check(t, err)
	opened, err := token.Open(ctx, two.KeyRef, nil, sealed, nil)
	check(t, err)
	if string(opened) != "text" {
		t.Fatalf("opened %q", opened)
	}
}

func suiteWrap(t testing.TB, token *hsm.Token, can hsm.Capabilities) {
	t.Helper()
	if can.Wrap == "" {
		return
	}
	ctx := context.Background()
	kek := hsm.Template{KeyRef: Ref("suite: wrapping"), Kind: hsm.AES256, Usage: hsm.UseWrap | hsm.UseUnwrap}
	key := hsm.Template{KeyRef: Ref("suite: wrapped"), Kind: hsm.AES256, Usage: hsm.UseEncrypt | hsm.UseDecrypt, Extractable: true}
	for _, order := range []hsm.Template{kek, key} {
		_, err := token.Generate(ctx, order)
		check(t, err)
	}
	w, err := token.Wrap(ctx, kek.KeyRef, key.KeyRef, hsm.AES256)
	check(t, err)
	if w.Format != can.Wrap {
		t.Fatalf("format %q", w.Format)
	}
	again := key
	again.KeyRef = Ref("suite: unwrapped")
	again.Extractable = false
	_, err = token.Unwrap(ctx, again, kek.KeyRef, w)
	check(t, err)
	sealed, err := token.Seal(ctx, key.KeyRef, nil, []byte("text"), nil)
	check(t, err)
	opened, err := token.Open(ctx, again.KeyRef, nil, sealed, nil)
	check(t, err)
	if string(opened) != "text" {
		t.Fatalf("opened %q", opened)
	}
}
