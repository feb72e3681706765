package crypt_test

import (
	"bytes"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmstore"
	"github.com/strongroom/strongroom/hsm/hsmtest"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/crypt"
)

// callCounter counts calls of one PKCS#11 function.
type callCounter struct {
	function string
	n        atomic.Int64
}

func (c *callCounter) TokenCall(_ hsm.Info, function string, _ time.Duration, _ uint) {
	if function == c.function {
		c.n.Add(1)
	}
}

// Where signatures are verified is the operator's choice, and changes no answer.
func TestWhereSignaturesAreVerified(t *testing.T) {
	algorithms := map[keystore.Spec][]string{
		keystore.RSA2048: {"RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PKCS1_V1_5_SHA_384", "RSASSA_PKCS1_V1_5_SHA_512",
			"RSASSA_PSS_SHA_256", "RSASSA_PSS_SHA_384", "RSASSA_PSS_SHA_512"},
		keystore.ECCP256:      {"ECDSA_SHA_256"},
		keystore.ECCP521:      {"ECDSA_SHA_512"},
		keystore.ECCSecp256k1: {"ECDSA_SHA_256"},
		keystore.ECCEd25519:   {"ED25519_SHA_512"},
	}
	for name, onToken := range map[string]bool{"on the token": true, "with the public key": false} {
		t.Run(name, func(t *testing.T) {
			counter := &callCounter{function: "C_Verify"}
			cfg := hsmtest.SoftHSM(t, "x").Config("x")
			cfg.VerifyOnToken, cfg.Observer = onToken, counter
			w := newWorld(t)
			w.stores[""] = hsmstore.NewDefault(hsmtest.Open(t, cfg)).AllSpecs()
			verified := int64(0)
			for spec, list := range algorithms {
				id := w.pair(spec, keystore.UsageSignVerify).ARN()
				for _, algorithm := range list {
					signed, err := w.Sign(t.Context(), w.root, &crypt.SignInput{KeyID: id, Message: []byte("m"), SigningAlgorithm: algorithm})
					require.NoError(t, err)
					altered := bytes.Clone(signed.Signature)
					altered[len(altered)-3] ^= 1
					for _, tc := range []struct {
						message   string
						signature []byte
						good      bool
					}{{"m", signed.Signature, true}, {"m", altered, false}, {"n", signed.Signature, false}} {
						out, err := w.Verify(t.Context(), w.root, &crypt.VerifyInput{KeyID: id, Message: []byte(tc.message),
							SigningAlgorithm: algorithm, Signature: tc.signature})
						verified++
						if !tc.good {
							faulty(t, err, keystore.KindInvalidSignature, "")
							continue
						}
						require.NoError(t, err, algorithm)
						assert.Equal(t, algorithm, out.SigningAlgorithm)
					}
				}
			}
			// SoftHSM2 would take a pure signature for one of Ed25519ph: it overlooks the parameter.
			id := w.pair(keystore.ECCEd25519, keystore.UsageSignVerify).ARN()
			digest := make([]byte, 64)
			signed, err := w.Sign(t.Context(), w.root, &crypt.SignInput{KeyID: id, Message: digest, SigningAlgorithm: "ED25519_SHA_512"})
			require.NoError(t, err)
			_, err = w.Verify(t.Context(), w.root, &crypt.VerifyInput{KeyID: id, Message: digest, MessageType: "DIGEST",
				SigningAlgorithm: "ED25519_PH_SHA_512", Signature: signed.Signature})
			faulty(t, err, keystore.KindInvalidSignature, "")

			want := int64(0)
			if onToken {
				want = verified
			}
			assert.Equal(t, want, counter.n.Load())
		})
	}
}
