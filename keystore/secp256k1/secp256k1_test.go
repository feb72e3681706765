package secp256k1_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore/secp256k1"
)

func number(t testing.TB, s string) *big.Int {
	t.Helper()
	n, ok := new(big.Int).SetString(s, 16)
	require.True(t, ok)
	return n
}

// curve is the curve again, by the textbook: affine coordinates and big integers.
type curve struct{ p, n, x, y *big.Int }

func textbook(t testing.TB) curve {
	return curve{
		number(t, "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f"),
		number(t, "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"),
		number(t, "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"),
		number(t, "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"),
	}
}

func (c curve) add(x1, y1, x2, y2 *big.Int) (*big.Int, *big.Int) {
	if x1 == nil {
		return x2, y2
	}
	if x2 == nil {
		return x1, y1
	}
	up, down := new(big.Int).Sub(y2, y1), new(big.Int).Sub(x2, x1)
	if x1.Cmp(x2) == 0 {
		if y1.Cmp(y2) != 0 {
			return nil, nil
		}
		up = new(big.Int).Mul(x1, x1)
		up.Mul(up, big.NewInt(3))
		down = new(big.Int).Lsh(y1, 1)
	}
	down.Mod(down, c.p)
	slope := up.Mul(up, down.ModInverse(down, c.p))
	x := new(big.Int).Mul(slope, slope)
	x.Sub(x, x1).Sub(x, x2).Mod(x, c.p)
	y := new(big.Int).Sub(x1, x)
	y.Mul(y, slope).Sub(y, y1).Mod(y, c.p)
	return x, y
}

func (c curve) times(k *big.Int, px, py *big.Int) (x, y *big.Int) {
	for i := k.BitLen() - 1; i >= 0; i-- {
		x, y = c.add(x, y, x, y)
		if k.Bit(i) == 1 {
			x, y = c.add(x, y, px, py)
		}
	}
	return x, y
}

// sign signs by the textbook with a nonce of its own.
func (c curve) sign(t testing.TB, d *big.Int, digest []byte) []byte {
	t.Helper()
	k, err := rand.Int(rand.Reader, new(big.Int).Sub(c.n, big.NewInt(1)))
	require.NoError(t, err)
	k.Add(k, big.NewInt(1))
	r, _ := c.times(k, c.x, c.y)
	r.Mod(r, c.n)
	s := new(big.Int).Mul(r, d)
	s.Add(s, new(big.Int).SetBytes(digest[:min(32, len(digest))])).Mul(s, k.ModInverse(k, c.n)).Mod(s, c.n)
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	require.NoError(t, err)
	return der
}

// pairOf makes the pair of a chosen private key: what the reader gives is the key.
func pairOf(t testing.TB, d *big.Int) *secp256k1.PrivateKey {
	t.Helper()
	k, err := secp256k1.GenerateKey(bytes.NewReader(d.FillBytes(make([]byte, 32))))
	require.NoError(t, err)
	return k
}

func TestPublicKeysAgainstTheTextbook(t *testing.T) {
	c := textbook(t)
	secrets := []*big.Int{big.NewInt(1), big.NewInt(2), big.NewInt(3), new(big.Int).Sub(c.n, big.NewInt(1)), new(big.Int).Lsh(big.NewInt(1), 255)}
	for range 40 {
		d, err := rand.Int(rand.Reader, c.n)
		require.NoError(t, err)
		secrets = append(secrets, d)
	}
	for _, d := range secrets {
		x, y := c.times(d, c.x, c.y)
		want := append(append([]byte{4}, x.FillBytes(make([]byte, 32))...), y.FillBytes(make([]byte, 32))...)
		der := pairOf(t, d).Public().DER()
		assert.Equal(t, want, der[len(der)-65:], "%x", d)
		read, err := secp256k1.ParsePublicKey(der)
		require.NoError(t, err)
		assert.Equal(t, der, read.DER())
	}
}

func TestGenerateKeyRefusesWhatIsNoKey(t *testing.T) {
	c := textbook(t)
	wrong := [][]byte{make([]byte, 32), c.n.Bytes(), bytes.Repeat([]byte{0xff}, 32)}
	good := append(make([]byte, 31), 5)
	k, err := secp256k1.GenerateKey(bytes.NewReader(append(bytes.Join(wrong, nil), good...)))
	require.NoError(t, err)
	assert.Equal(t, pairOf(t, big.NewInt(5)).Public().DER(), k.Public().DER(), "the first number that is a key is the key")
	_, err = secp256k1.GenerateKey(bytes.NewReader(good[:31]))
	require.Error(t, err)
	_, err = secp256k1.GenerateKey(failing{})
	require.ErrorIs(t, err, errNoRandom)
}

var errNoRandom = errors.New("no randomness")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errNoRandom }

func TestVerify(t *testing.T) {
	c := textbook(t)
	for i := range 30 {
		d, err := rand.Int(rand.Reader, c.n)
		require.NoError(t, err)
		pub := pairOf(t, d).Public()
		digest := sha256.Sum256([]byte{byte(i)})
		signature := c.sign(t, d, digest[:])
		require.True(t, pub.Verify(digest[:], signature))

		other := sha256.Sum256([]byte{byte(i), 1})
		assert.False(t, pub.Verify(other[:], signature), "another digest")
		assert.False(t, pairOf(t, big.NewInt(77)).Public().Verify(digest[:], signature), "another key")
		for at := range signature {
			bad := bytes.Clone(signature)
			bad[at] ^= 1
			assert.False(t, pub.Verify(digest[:], bad), "byte %d altered", at)
		}
	}
}

func TestVerifyRefusesFormsOfSignatures(t *testing.T) {
	c := textbook(t)
	d := big.NewInt(12345)
	pub := pairOf(t, d).Public()
	digest := sha256.Sum256([]byte("m"))
	good := c.sign(t, d, digest[:])
	var rs struct{ R, S *big.Int }
	_, err := asn1.Unmarshal(good, &rs)
	require.NoError(t, err)
	encode := func(r, s *big.Int) []byte {
		der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
		require.NoError(t, err)
		return der
	}
	assert.True(t, pub.Verify(digest[:], encode(rs.R, new(big.Int).Sub(c.n, rs.S))), "the other s is good too (SEC 1)")
	for name, bad := range map[string][]byte{
		"nothing": {}, "a byte behind": append(bytes.Clone(good), 0),
		"a null behind s": append([]byte{0x30, good[1] + 2}, append(bytes.Clone(good[2:]), 5, 0)...), "r and s bare": append(rs.R.Bytes(), rs.S.Bytes()...),
		"r is 0": encode(big.NewInt(0), rs.S), "s is 0": encode(rs.R, big.NewInt(0)), "r is the order": encode(c.n, rs.S),
		"s is the order":   encode(rs.R, c.n),
		"s and the order":  encode(rs.R, new(big.Int).Add(rs.S, c.n)),
		"r is negative":    encode(new(big.Int).Neg(rs.R), rs.S),
		"a needless zero":  append([]byte{0x30, good[1] + 1, 2, good[3] + 1, 0}, good[4:]...),
		"a needless zero2": append([]byte{0x30, 0x81, good[1]}, good[2:]...),
	} {
		assert.False(t, pub.Verify(digest[:], bad), name)
	}
	assert.False(t, pub.Verify(nil, good), "no digest")
	assert.True(t, pub.Verify(append(digest[:], 1, 2, 3), good), "of a long digest the first 32 bytes count")
}

func TestParsePublicKeyRefuses(t *testing.T) {
	der := pairOf(t, big.NewInt(9)).Public().DER()
	prefix := der[:len(der)-65]
	for name, bad := range map[string][]byte{
		"nothing": nil, "short": der[:len(der)-1], "long": append(bytes.Clone(der), 0),
		"not on the curve": append(bytes.Clone(der[:len(der)-1]), der[len(der)-1]^1),
		"compressed form":  append(bytes.Clone(prefix), append([]byte{2}, der[len(prefix)+1:]...)...),
		"infinity":         append(bytes.Clone(prefix), append([]byte{4}, make([]byte, 64)...)...),
		"x beyond p":       append(append(bytes.Clone(prefix), 4), append(bytes.Repeat([]byte{0xff}, 32), der[len(prefix)+33:]...)...),
		"another curve":    bytes.Replace(der, []byte{0x2b, 0x81, 0x04, 0x00, 0x0a}, []byte{0x2b, 0x81, 0x04, 0x00, 0x22}, 1),
	} {
		_, err := secp256k1.ParsePublicKey(bad)
		require.ErrorIs(t, err, secp256k1.ErrPublicKey, name)
	}
}

func TestPrivateKeyDoesNotPrintAndIsWiped(t *testing.T) {
	k := pairOf(t, number(t, "c0ffee"))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		assert.Equal(t, "secp256k1 private key", fmt.Sprintf(verb, k))
	}
	assert.Contains(t, hex.EncodeToString(k.PKCS8()), "c0ffee")
	k.Wipe()
	assert.NotContains(t, hex.EncodeToString(k.PKCS8()), "c0ffee")
}

// OpenSSL reads both encodings, signs with the private key, and verifies with the public one.
func TestOpenSSLReadsOurKeys(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	require.NoError(t, err, "the openssl command is needed")
	dir := t.TempDir()
	k, err := secp256k1.GenerateKey(rand.Reader)
	require.NoError(t, err)
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, data, 0o600))
		return path
	}
	run := func(args ...string) []byte {
		out, err := exec.Command(openssl, args...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		return out
	}
	private, public := file("private.der", k.PKCS8()), file("public.der", k.Public().DER())
	derived := filepath.Join(dir, "derived.der")
	run("pkey", "-inform", "DER", "-in", private, "-check", "-noout")
	run("pkey", "-inform", "DER", "-in", private, "-pubout", "-outform", "DER", "-out", derived)
	got, err := os.ReadFile(derived)
	require.NoError(t, err)
	assert.Equal(t, k.Public().DER(), got)
	rewritten := filepath.Join(dir, "rewritten.der")
	run("pkcs8", "-topk8", "-nocrypt", "-inform", "DER", "-in", private, "-outform", "DER", "-out", rewritten)
	again, err := os.ReadFile(rewritten)
	require.NoError(t, err)
	assert.Equal(t, k.PKCS8(), again, "the same bytes as OpenSSL's")

	message := file("message", []byte("hello"))
	signature := filepath.Join(dir, "signature")
	run("dgst", "-sha256", "-sign", private, "-keyform", "DER", "-out", signature, message)
	signed, err := os.ReadFile(signature)
	require.NoError(t, err)
	digest := sha256.Sum256([]byte("hello"))
	assert.True(t, k.Public().Verify(digest[:], signed))
	run("dgst", "-sha256", "-verify", public, "-keyform", "DER", "-signature", signature, message)
}

func FuzzVerify(f *testing.F) {
	k, err := secp256k1.GenerateKey(rand.Reader)
	require.NoError(f, err)
	f.Add([]byte("digest"), []byte{0x30, 6, 2, 1, 1, 2, 1, 1})
	f.Add([]byte{}, []byte{0x30, 0})
	f.Fuzz(func(t *testing.T, digest, signature []byte) {
		assert.False(t, k.Public().Verify(digest, signature), "nobody can sign without the key")
	})
}

func FuzzParsePublicKey(f *testing.F) {
	k, err := secp256k1.GenerateKey(rand.Reader)
	require.NoError(f, err)
	f.Add(k.Public().DER())
	f.Fuzz(func(t *testing.T, der []byte) {
		if key, err := secp256k1.ParsePublicKey(der); err == nil {
			assert.Equal(t, der, key.DER())
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	d := big.NewInt(12345)
	pub := pairOf(b, d).Public()
	digest := sha256.Sum256([]byte("m"))
	signature := textbook(b).sign(b, d, digest[:])
	b.ReportAllocs()
	for b.Loop() {
		if !pub.Verify(digest[:], signature) {
			b.Fatal("a good signature is refused")
		}
	}
}

func BenchmarkGenerateKey(b *testing.B) {
	for b.Loop() {
		if _, err := secp256k1.GenerateKey(rand.Reader); err != nil {
			b.Fatal(err)
		}
	}
}
