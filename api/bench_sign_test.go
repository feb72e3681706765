package api_test

import (
	"context"
	"crypto"
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// BenchmarkSign compares, in one run and on the same key: the token through its backend, by one caller a processor (what that
// costs above C_Sign alone is measured beside the token layer), and the whole appliance, by as many clients as
// BenchmarkEncrypt has.
func BenchmarkSign(b *testing.B) {
	a := start(b)
	c, ctx := a.client(a.root), context.Background()
	digest := make([]byte, crypto.SHA256.Size())
	for _, row := range []struct {
		spec      types.KeySpec
		algorithm string
	}{
		{types.KeySpecRsa2048, "RSASSA_PKCS1_V1_5_SHA_256"},
		{types.KeySpecEccNistP256, "ECDSA_SHA_256"},
	} {
		made, err := c.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: row.spec, KeyUsage: types.KeyUsageTypeSignVerify})
		require.NoError(b, err)
		handle := a.handleOf(b, made.KeyMetadata)
		resolved, _ := a.manager.Resolve(region, "")
		store, ok := resolved.(backend.Signer)
		require.True(b, ok)

		b.Run(string(row.spec)+"/token", func(b *testing.B) {
			parallel(b, 1, func() error {
				_, err := store.Sign(ctx, handle, row.algorithm, digest)
				return err
			})
		})
		b.Run(string(row.spec)+"/appliance", func(b *testing.B) {
			bombard(b, a.url, raw(b, a.request(b, "Sign", fmt.Sprintf(
				`{"KeyId":%q,"Message":%q,"MessageType":"DIGEST","SigningAlgorithm":%q}`,
				*made.KeyMetadata.Arn, base64.StdEncoding.EncodeToString(digest), row.algorithm))))
		})
	}
}

// parallel calls fn over and over, several times at once for each processor.
func parallel(b *testing.B, each int, fn func() error) {
	b.Helper()
	b.SetParallelism(each)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := fn(); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

// handleOf names a key's material.
func (a *appliance) handleOf(t testing.TB, md *types.KeyMetadata) *backend.Handle {
	t.Helper()
	k, err := a.db.LookupKey(context.Background(), region, keystore.KeyID(*md.KeyId))
	require.NoError(t, err)
	return &backend.Handle{ID: k.Current().ID, Label: k.ARN(), Spec: k.Spec, Usage: k.Usage}
}
