package api_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api"
	"github.com/strongroom/strongroom/keystore"
)

const throttled = "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls."

// TestEveryRequestHasAQuota: whatever is asked of whatever key, the table of quotas has a row for it, and no row is for nothing.
func TestEveryRequestHasAQuota(t *testing.T) {
	rates := api.DefaultRates("eu-north-1")
	used := map[string]bool{}
	for _, a := range keystore.Actions() {
		for _, s := range keystore.Specs() {
			spec := string(s)
			if strings.HasPrefix(string(a), "GenerateDataKeyPair") && (spec == "SYMMETRIC_DEFAULT" || strings.HasPrefix(spec, "HMAC")) {
				continue
			}
			quota := api.QuotaOf(a, spec)
			assert.Positive(t, rates[quota], "%s with %s: %s", a, spec, quota)
			used[quota] = true
		}
	}
	used[api.QuotaCustomKeyStore] = true // besides the quota of the key's spec
	assert.Len(t, used, len(rates))
	assert.Len(t, api.QuotaNames(), len(rates))
	assert.Equal(t, 1_800.0, rates[api.QuotaCustomKeyStore])
	assert.Equal(t, 10_000.0, rates[api.QuotaSymmetric])
	assert.Equal(t, 100_000.0, api.DefaultRates("us-east-1")[api.QuotaSymmetric])
	assert.Equal(t, 20_000.0, api.DefaultRates("eu-central-1")[api.QuotaSymmetric])
}

func TestTokenBucket(t *testing.T) {
	began := time.Now()
	for name, c := range map[string]struct {
		rate  float64
		burst int
		wait  time.Duration // for the next one
	}{
		"ten":                {10, 10, 100 * time.Millisecond},
		"one":                {1, 1, time.Second},
		"one in ten seconds": {0.1, 1, 10 * time.Second},
		"two and a half":     {2.5, 2, 400 * time.Millisecond},
		"ten thousand":       {10_000, 10_000, 100 * time.Microsecond},
	} {
		t.Run(name, func(t *testing.T) {
			throttle := api.NewThrottle(c.rate, began)
			for _, at := range []time.Time{began, began.Add(time.Hour)} { // full again, and not more than full
				for range c.burst {
					require.NoError(t, throttle.Take("r", "q", at))
				}
				require.Error(t, throttle.Take("r", "q", at))
				require.Error(t, throttle.Take("r", "q", at.Add(c.wait-time.Nanosecond)))
				require.NoError(t, throttle.Take("r", "q", at.Add(c.wait)))
				require.Error(t, throttle.Take("r", "q", at.Add(c.wait)))
			}
			assert.NoError(t, throttle.Take("r", "other", began))
			assert.NoError(t, throttle.Take("other", "q", began))
		})
	}
	assert.True(t, api.NewThrottle(0, began).Off())
}

func TestTokenBucketUnderContention(t *testing.T) {
	began := time.Now()
	throttle := api.NewThrottle(1_000, began)
	var taken atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 500 {
				if throttle.Take("r", "q", began) == nil {
					taken.Add(1)
				}
			}
		})
	}
	group.Wait()
	assert.EqualValues(t, 1_000, taken.Load())
}

// stopped is a time for signatures and quotas that only the test moves.
type stopped struct{ at atomic.Int64 }

func (s *stopped) now() time.Time { return time.Unix(0, s.at.Load()) }

func TestRequestsBeyondAQuota(t *testing.T) {
	var s stopped
	s.at.Store(time.Now().UnixNano())
	a := start(t, func(c *api.Config) {
		c.Now = s.now
		c.Rates = map[string]map[string]float64{region: {api.QuotaSymmetric: 3, "DescribeKey": 1, "CreateAlias": 1, "TagResource": 0}}
	})
	root, other := a.rootUser(), a.user(t, "other")
	k := root.newKey(t, "")
	for range 3 {
		require.NoError(t, root.encrypt(t, *k.KeyId, nil))
	}
	// Beyond the quota everybody is refused, whatever they may do, and what they ask is not even looked at.
	isException(t, root.encrypt(t, *k.KeyId, nil), "ThrottlingException", throttled)
	isException(t, other.encrypt(t, *k.KeyId, nil), "ThrottlingException", throttled)
	requireError(t, a.post(t, "GenerateRandom", `{`), 400, "ThrottlingException", throttled)
	_, err := root.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: k.KeyId, KeySpec: types.DataKeySpecAes256})
	isException(t, err, "ThrottlingException", throttled)
	record := a.lastRecord(t, "GenerateDataKey")
	assert.Equal(t, "ThrottlingException", record["errorCode"])
	assert.Equal(t, throttled, record["errorMessage"])
	assert.Equal(t, "GenerateDataKey ThrottlingException", a.seen.last())
	// Other operations have quotas of their own, or none.
	_, err = root.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: k.KeyId})
	assert.NoError(t, err)
	_, err = root.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: k.KeyId})
	isException(t, err, "ThrottlingException", throttled)
	for range 5 {
		_, err = root.TagResource(t.Context(), &kms.TagResourceInput{KeyId: k.KeyId, Tags: []types.Tag{{TagKey: aws.String("a"), TagValue: aws.String("b")}}})
		assert.NoError(t, err)
	}
	// A refused change changed nothing.
	for n, name := range []string{"alias/one", "alias/two"} {
		_, err = root.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: &name, TargetKeyId: k.KeyId})
		if n == 0 {
			assert.NoError(t, err)
			continue
		}
		isException(t, err, "ThrottlingException", throttled)
	}
	list, err := root.ListAliases(t.Context(), &kms.ListAliasesInput{KeyId: k.KeyId})
	require.NoError(t, err)
	assert.Len(t, list.Aliases, 1)
	// Who is not known does not use the quota up.
	s.at.Add(int64(time.Second))
	for range 5 {
		r := a.request(t, "Encrypt", `{"KeyId":"`+*k.KeyId+`","Plaintext":"AAAA"}`)
		r.Header.Set("X-Amz-Date", "20200101T000000Z")
		assert.Equal(t, 400, do(t, r).status)
	}
	for range 3 {
		require.NoError(t, root.encrypt(t, *k.KeyId, nil))
	}
	isException(t, root.encrypt(t, *k.KeyId, nil), "ThrottlingException", throttled)
}

// TestQuotasByKey: keys of other specs have quotas of their own for the same operation.
func TestQuotasByKey(t *testing.T) {
	var s stopped
	s.at.Store(time.Now().UnixNano())
	a := start(t, func(c *api.Config) {
		c.Now = s.now
		c.Rates = map[string]map[string]float64{region: {api.QuotaSymmetric: 2, api.QuotaRSA: 3, api.QuotaECC: 1, "GenerateDataKeyPair/RSA_2048": 1}}
	})
	root := a.rootUser()
	symmetric := root.newKey(t, "")
	pair := func(spec types.KeySpec, usage types.KeyUsageType) *string {
		out, err := root.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: spec, KeyUsage: usage})
		require.NoError(t, err)
		return out.KeyMetadata.KeyId
	}
	rsa, ecc := pair(types.KeySpecRsa2048, types.KeyUsageTypeEncryptDecrypt), pair(types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify)
	_, err := root.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String("alias/rsa"), TargetKeyId: rsa})
	require.NoError(t, err)
	oaep := func(key string) error {
		_, err := root.Encrypt(t.Context(), &kms.EncryptInput{KeyId: &key, Plaintext: []byte("gold"), EncryptionAlgorithm: types.EncryptionAlgorithmSpecRsaesOaepSha256})
		return err
	}
	sign := func() error {
		_, err := root.Sign(t.Context(), &kms.SignInput{KeyId: ecc, Message: []byte("m"), SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256})
		return err
	}
	require.NoError(t, root.encrypt(t, *symmetric.KeyId, nil))
	require.NoError(t, root.encrypt(t, *symmetric.KeyId, nil))
	isException(t, root.encrypt(t, *symmetric.KeyId, nil), "ThrottlingException", throttled)
	require.NoError(t, oaep(*rsa))
	require.NoError(t, oaep("alias/rsa"))
	require.NoError(t, sign())
	isException(t, sign(), "ThrottlingException", throttled)

	// ReEncrypt counts for both keys.
	out, err := root.ReEncrypt(t.Context(), &kms.ReEncryptInput{CiphertextBlob: []byte("none"), DestinationKeyId: rsa,
		DestinationEncryptionAlgorithm: types.EncryptionAlgorithmSpecRsaesOaepSha256})
	assert.Nil(t, out)
	isException(t, err, "ThrottlingException", throttled)
	require.NoError(t, oaep(*rsa))
	isException(t, oaep(*rsa), "ThrottlingException", throttled)

	for n := range 2 {
		_, err := root.GenerateDataKeyPair(t.Context(), &kms.GenerateDataKeyPairInput{KeyId: symmetric.KeyId, KeyPairSpec: types.DataKeyPairSpecRsa2048})
		if n == 0 {
			assert.NoError(t, err, "it has a quota of its own")
			continue
		}
		isException(t, err, "ThrottlingException", throttled)
	}
	_, err = root.GenerateDataKeyPair(t.Context(), &kms.GenerateDataKeyPairInput{KeyId: symmetric.KeyId, KeyPairSpec: types.DataKeyPairSpecEccNistP256})
	assert.NoError(t, err)
}

// BenchmarkThrottle is what a request pays for its quota.
func BenchmarkThrottle(b *testing.B) {
	began := time.Now()
	throttle := api.NewThrottle(1e8, began)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for n := 0; p.Next(); n++ {
			_ = throttle.Take("r", "q", began.Add(time.Duration(n)*time.Microsecond))
		}
	})
}

// TestQuotaOfACustomKeyStore: each store has one of its own, besides that of all symmetric operations, for cryptographic
// operations alone (developer guide, "Custom key store request quotas").
func TestQuotaOfACustomKeyStore(t *testing.T) {
	var s stopped
	s.at.Store(time.Now().UnixNano())
	a := start(t, func(c *api.Config) {
		c.Now = s.now
		c.Rates = map[string]map[string]float64{region: {api.QuotaCustomKeyStore: 3}}
	})
	root := a.rootUser()
	c := a.client(a.root)
	inStore, err := c.CreateCustomKeyStore(t.Context(), &kms.CreateCustomKeyStoreInput{CustomKeyStoreName: aws.String("hsm"),
		CloudHsmClusterId: aws.String(clusterID), KeyStorePassword: aws.String(kmsuser), TrustAnchorCertificate: aws.String(a.anchor)})
	require.NoError(t, err)
	store := inStore.CustomKeyStoreId
	require.Equal(t, types.ConnectionStateTypeConnected, a.connect(t, c, store).ConnectionState)
	made, err := root.CreateKey(t.Context(), &kms.CreateKeyInput{Origin: types.OriginTypeAwsCloudhsm, CustomKeyStoreId: store})
	require.NoError(t, err)
	stored, plain := *made.KeyMetadata.KeyId, *root.newKey(t, "").KeyId
	_, err = root.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String("alias/stored"), TargetKeyId: &stored})
	require.NoError(t, err)
	sealed, err := root.Encrypt(t.Context(), &kms.EncryptInput{KeyId: &stored, Plaintext: []byte("gold")})
	require.NoError(t, err)
	elsewhere, err := root.Encrypt(t.Context(), &kms.EncryptInput{KeyId: &plain, Plaintext: []byte("gold")})
	require.NoError(t, err)
	calls := map[string]func() error{
		"Encrypt":  func() error { return root.encrypt(t, stored, nil) },
		"by alias": func() error { return root.encrypt(t, "alias/stored", nil) },
		"GenerateDataKey": func() error {
			_, err := root.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: &stored, KeySpec: types.DataKeySpecAes256})
			return err
		},
		"GenerateDataKeyWithoutPlaintext": func() error {
			_, err := root.GenerateDataKeyWithoutPlaintext(t.Context(), &kms.GenerateDataKeyWithoutPlaintextInput{KeyId: &stored, KeySpec: types.DataKeySpecAes256})
			return err
		},
		"Decrypt without a key": func() error {
			_, err := root.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: sealed.CiphertextBlob})
			return err
		},
		"ReEncrypt from": func() error {
			_, err := root.ReEncrypt(t.Context(), &kms.ReEncryptInput{CiphertextBlob: sealed.CiphertextBlob, DestinationKeyId: &plain})
			return err
		},
		"ReEncrypt to": func() error {
			_, err := root.ReEncrypt(t.Context(), &kms.ReEncryptInput{CiphertextBlob: elsewhere.CiphertextBlob, DestinationKeyId: &stored})
			return err
		},
		"ReEncrypt within, once": func() error {
			_, err := root.ReEncrypt(t.Context(), &kms.ReEncryptInput{CiphertextBlob: sealed.CiphertextBlob, DestinationKeyId: &stored})
			return err
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			s.at.Add(int64(time.Second))
			for range 3 {
				require.NoError(t, call())
			}
			isException(t, call(), "ThrottlingException", throttled)
			require.NoError(t, root.encrypt(t, plain, nil), "keys of the default store have no such quota")
			_, err := root.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &stored})
			require.NoError(t, err, "nor has what is no cryptographic operation")
		})
	}
}

// Stores do not share their quotas, nor do Regions.
func TestQuotasOfStoresAreApart(t *testing.T) {
	began := time.Now()
	throttle := api.NewStoreThrottle(1, began)
	require.NoError(t, throttle.TakeStore("r", "cks-1", began))
	require.Error(t, throttle.TakeStore("r", "cks-1", began))
	require.NoError(t, throttle.TakeStore("r", "cks-2", began))
	require.NoError(t, throttle.TakeStore("other", "cks-1", began), "which has no such quota")
	require.NoError(t, throttle.TakeStore("r", "cks-1", began.Add(time.Second)))
}
