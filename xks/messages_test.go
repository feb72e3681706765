package xks_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/xks"
)

var fullMetadata = xks.RequestMetadata{
	PrincipalARN: "arn:aws:iam::123456789012:user/Alice", SourceVPC: "vpc-1234", SourceVPCE: "vpce-5678",
	KMSKeyARN: "arn:aws:kms:us-east-2:123456789012:/key/1234abcd", KMSOperation: "Encrypt",
	KMSRequestID: "4112f4d6-db54-4af4-ae30-c55a22a8dfae", ViaService: "ebs",
}

const metadataJSON = `"requestMetadata":{"awsPrincipalArn":"AWS Internal","kmsKeyArn":"k","kmsOperation":"Encrypt","kmsRequestId":"r"}`

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestRequestsRoundTrip(t *testing.T) {
	health := xks.HealthRequest{Metadata: xks.RequestMetadata{KMSOperation: "KmsHealthCheck", KMSRequestID: "1"}}
	gotHealth, err := xks.DecodeHealthRequest(health.Encode())
	require.NoError(t, err)
	assert.Equal(t, health, gotHealth)

	metadata := xks.MetadataRequest{Metadata: fullMetadata}
	gotMetadata, err := xks.DecodeMetadataRequest(metadata.Encode())
	require.NoError(t, err)
	assert.Equal(t, metadata, gotMetadata)

	encrypt := xks.EncryptRequest{Metadata: fullMetadata, Plaintext: []byte("secret"), AAD: []byte("a\"ad"), CDIV: true}
	encrypt.Metadata.KMSRequestID = "with \"quotes\", \\ and \u00fc \u2028"
	gotEncrypt, err := xks.DecodeEncryptRequest(encrypt.Encode(), xks.Limits{})
	require.NoError(t, err)
	assert.Equal(t, encrypt, gotEncrypt)

	decrypt := xks.DecryptRequest{
		Metadata: fullMetadata, Ciphertext: []byte("c"), CiphertextMetadata: []byte{1, 7}, AAD: []byte("aad"),
		IV: make([]byte, 12), Tag: make([]byte, 16),
	}
	gotDecrypt, err := xks.DecodeDecryptRequest(decrypt.Encode(), xks.Limits{})
	require.NoError(t, err)
	assert.Equal(t, decrypt, gotDecrypt)
}

func TestEncryptRequestForms(t *testing.T) {
	plain := `"plaintext":"` + b64("hello") + `"`
	algorithm := `"encryptionAlgorithm":"AES_GCM"`
	all := metadataJSON + "," + plain + "," + algorithm
	tests := []struct {
		name, body string
		want       xks.ErrorName // "" is accepted
	}{
		{"minimal", "{" + all + "}", ""},
		{"pretty printed", " {\n\t" + strings.ReplaceAll(all, ",", " ,\r\n ") + "\n}\n", ""},
		{"unknown members", `{"sourceIdentity":{"a":[1,"}",{}]},"n":-1.5e3,"t":true,` + all + `,"tags":[]}`, ""},
		{"unknown metadata members", "{" + strings.Replace(all, `"kmsKeyArn"`, `"nitro":{"x":"]"},"kmsKeyArn"`, 1) + "}", ""},
		{"escaped slash in base64", `{"plaintext":"\/\/\/\/",` + metadataJSON + "," + algorithm + "}", ""},
		{"escaped member name", `{"pl\u0061intext":"YQ==",` + metadataJSON + "," + algorithm + "}", ""},
		{"null option", "{" + all + `,"additionalAuthenticatedData":null,"ciphertextDataIntegrityValueAlgorithm":null}`, ""},
		{"empty AAD", "{" + all + `,"additionalAuthenticatedData":""}`, ""},
		{"CDIV", "{" + all + `,"ciphertextDataIntegrityValueAlgorithm":"SHA_256"}`, ""},
		{"unknown kmsOperation", "{" + strings.Replace(all, `"kmsOperation":"Encrypt"`, `"kmsOperation":"Future"`, 1) + "}", ""},

		{"empty body", "", xks.ValidationException},
		{"not JSON", "{", xks.ValidationException},
		{"list", "[]", xks.ValidationException},
		{"two documents", "{" + all + "}{}", xks.ValidationException},
		{"trailing comma", "{" + all + ",}", xks.ValidationException},
		{"not UTF-8", "{" + all + ",\"x\":\"\xff\"}", xks.ValidationException},
		{"byte order mark", "\ufeff{" + all + "}", xks.ValidationException},
		{"empty object", "{}", xks.ValidationException},
		{"no metadata", "{" + plain + "," + algorithm + "}", xks.ValidationException},
		{"metadata null", `{"requestMetadata":null,` + plain + "," + algorithm + "}", xks.ValidationException},
		{"metadata a string", `{"requestMetadata":"x",` + plain + "," + algorithm + "}", xks.ValidationException},
		{"no principal", "{" + strings.Replace(all, `"awsPrincipalArn":"AWS Internal",`, "", 1) + "}", xks.ValidationException},
		{"no key ARN", "{" + strings.Replace(all, `"kmsKeyArn":"k",`, "", 1) + "}", xks.ValidationException},
		{"request id a number", "{" + strings.Replace(all, `"kmsRequestId":"r"`, `"kmsRequestId":1`, 1) + "}", xks.ValidationException},
		{"operation null", "{" + strings.Replace(all, `"kmsOperation":"Encrypt"`, `"kmsOperation":null`, 1) + "}", xks.ValidationException},
		{"wrong case", "{" + strings.Replace(all, "plaintext", "Plaintext", 1) + "}", xks.ValidationException},
		{"member twice", "{" + all + "," + plain + "}", xks.ValidationException},
		{"metadata member twice", "{" + strings.Replace(all, `"kmsKeyArn":"k"`, `"kmsKeyArn":"k","kmsKeyArn":"l"`, 1) + "}", xks.ValidationException},
		{"no plaintext", "{" + metadataJSON + "," + algorithm + "}", xks.ValidationException},
		{"empty plaintext", `{"plaintext":"",` + metadataJSON + "," + algorithm + "}", xks.ValidationException},
		{"plaintext null", `{"plaintext":null,` + metadataJSON + "," + algorithm + "}", xks.ValidationException},
		{"plaintext a number", `{"plaintext":1,` + metadataJSON + "," + algorithm + "}", xks.ValidationException},
		{"unpadded", `{"plaintext":"YQ",` + metadataJSON + "," + algorithm + "}", xks.ValidationException},
		{"half padded", `{"plaintext":"YQ=",` + metadataJSON + "," + algorithm + "}", xks.ValidationException},
		{"trailing bits", `{"plaintext":"YR==",` + metadataJSON + "," + algorithm + "}", xks.ValidationException},
		{"URL alphabet", `{"plaintext":"__-_",` + metadataJSON + "," + algorithm + "}", xks.ValidationException},
		{"line break in base64", `{"plaintext":"YWJj\nYWJj",` + metadataJSON + "," + algorithm + "}", xks.ValidationException},
		{"blank in base64", `{"plaintext":"YWJj YWJj",` + metadataJSON + "," + algorithm + "}", xks.ValidationException},
		{"no algorithm", "{" + metadataJSON + "," + plain + "}", xks.ValidationException},
		{"other algorithm", "{" + strings.Replace(all, "AES_GCM", "AES_CBC", 1) + "}", xks.ValidationException},
		{"other CDIV algorithm", "{" + all + `,"ciphertextDataIntegrityValueAlgorithm":"SHA_512"}`, xks.ValidationException},
		{"empty CDIV algorithm", "{" + all + `,"ciphertextDataIntegrityValueAlgorithm":""}`, xks.ValidationException},
		{"plaintext at the limit", `{"plaintext":"` + b64(strings.Repeat("p", 8192)) + `",` + metadataJSON + "," + algorithm + "}", ""},
		{"plaintext over the limit", `{"plaintext":"` + b64(strings.Repeat("p", 8193)) + `",` + metadataJSON + "," + algorithm + "}", xks.UnsupportedOperationException},
		{"AAD at the limit", "{" + all + `,"additionalAuthenticatedData":"` + b64(strings.Repeat("a", 32768)) + `"}`, ""},
		{"AAD over the limit", "{" + all + `,"additionalAuthenticatedData":"` + b64(strings.Repeat("a", 32769)) + `"}`, xks.UnsupportedOperationException},
		{"AAD of 65536", "{" + all + `,"additionalAuthenticatedData":"` + b64(strings.Repeat("a", 65536)) + `"}`, xks.UnsupportedOperationException},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := xks.DecodeEncryptRequest([]byte(tt.body), xks.Limits{})
			require.Equal(t, tt.want, xks.NameOf(err), "%v", err)
			if tt.want == "" {
				assert.NotEmpty(t, r.Plaintext)
				assert.Equal(t, "r", r.Metadata.KMSRequestID)
			}
		})
	}
}

func TestDecryptRequestForms(t *testing.T) {
	good := map[string]string{
		"ciphertext": `"Yw=="`, "encryptionAlgorithm": `"AES_GCM"`, "initializationVector": `"` + b64(strings.Repeat("i", 12)) + `"`,
		"authenticationTag": `"` + b64(strings.Repeat("t", 16)) + `"`,
	}
	tests := []struct {
		name, member, value string
		want                xks.ErrorName
	}{
		{"as is", "", "", ""},
		{"metadata of 20 bytes", "ciphertextMetadata", `"` + b64(strings.Repeat("m", 20)) + `"`, ""},
		{"metadata of 21 bytes", "ciphertextMetadata", `"` + b64(strings.Repeat("m", 21)) + `"`, xks.ValidationException},
		{"metadata of 2000 bytes", "ciphertextMetadata", `"` + b64(strings.Repeat("m", 2000)) + `"`, xks.ValidationException},
		{"IV of 16", "initializationVector", `"` + b64(strings.Repeat("i", 16)) + `"`, ""},
		{"IV of 13", "initializationVector", `"` + b64(strings.Repeat("i", 13)) + `"`, xks.InvalidCiphertextException},
		{"empty IV", "initializationVector", `""`, xks.InvalidCiphertextException},
		{"no IV", "initializationVector", "", xks.ValidationException},
		{"IV not base64", "initializationVector", `"!"`, xks.ValidationException},
		{"tag of 15", "authenticationTag", `"` + b64(strings.Repeat("t", 15)) + `"`, xks.InvalidCiphertextException},
		{"no tag", "authenticationTag", "", xks.ValidationException},
		{"empty ciphertext", "ciphertext", `""`, xks.InvalidCiphertextException},
		{"no ciphertext", "ciphertext", "", xks.ValidationException},
		{"ciphertext over the limit", "ciphertext", `"` + b64(strings.Repeat("c", 8193)) + `"`, xks.UnsupportedOperationException},
		{"AAD of 65536", "additionalAuthenticatedData", `"` + b64(strings.Repeat("a", 65536)) + `"`, xks.UnsupportedOperationException},
		{"other algorithm", "encryptionAlgorithm", `"RSA"`, xks.ValidationException},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := "{" + metadataJSON
			for name, value := range good {
				if name != tt.member {
					body += `,"` + name + `":` + value
				}
			}
			if tt.value != "" {
				body += `,"` + tt.member + `":` + tt.value
			}
			_, err := xks.DecodeDecryptRequest([]byte(body+"}"), xks.Limits{})
			require.Equal(t, tt.want, xks.NameOf(err), "%v", err)
		})
	}
}

func TestOtherRequestsRequireMetadata(t *testing.T) {
	for body, ok := range map[string]bool{
		`{"requestMetadata":{"kmsRequestId":"1","kmsOperation":"KmsHealthCheck"}}`: true,
		`{"requestMetadata":{"kmsRequestId":"1"}}`:                                 false,
		`{"requestMetadata":{"kmsOperation":"KmsHealthCheck"}}`:                    false,
		`{"requestMetadata":{}}`:                                                   false,
		`{}`:                                                                       false,
	} {
		_, err := xks.DecodeHealthRequest([]byte(body))
		assert.Equal(t, ok, err == nil, body)
	}
	_, err := xks.DecodeMetadataRequest([]byte(`{"requestMetadata":{"kmsRequestId":"1","kmsOperation":"CreateKey"}}`))
	assert.Equal(t, xks.ValidationException, xks.NameOf(err), "awsPrincipalArn is required")
	_, err = xks.DecodeMetadataRequest([]byte(`{"requestMetadata":{"kmsRequestId":"1","kmsOperation":"DescribeKey","awsPrincipalArn":"a","kmsKeyArn":"k","kmsViaService":"s"}}`))
	assert.NoError(t, err)
}

func TestValidationMessagesHoldNoInput(t *testing.T) {
	_, err := xks.DecodeEncryptRequest([]byte(`{"plaintext":"c2VjcmV0!",`+metadataJSON+`,"encryptionAlgorithm":"AES_GCM"}`), xks.Limits{})
	require.Error(t, err)
	assert.Contains(t, err.Error(), "plaintext is not base64")
	assert.NotContains(t, err.Error(), "c2Vj")
}

func TestMaxBodyHoldsTheLargestRequest(t *testing.T) {
	r := xks.EncryptRequest{Metadata: fullMetadata, Plaintext: make([]byte, 8192), AAD: make([]byte, 32768), CDIV: true}
	r.Metadata.KMSKeyARN, r.Metadata.PrincipalARN = strings.Repeat("a", 2048), strings.Repeat("b", 2048)
	assert.Less(t, len(r.Encode()), xks.Limits{}.MaxBody())
}

func TestEncryptResponse(t *testing.T) {
	req := &xks.EncryptRequest{Plaintext: []byte("12345"), AAD: []byte("aad"), CDIV: true}
	good := func() xks.EncryptResponse {
		r := xks.EncryptResponse{Ciphertext: []byte("abcde"), CiphertextMetadata: []byte{1}, IV: make([]byte, 12), Tag: make([]byte, 16)}
		cdiv := xks.CDIV(req.AAD, r.CiphertextMetadata, r.IV, r.Ciphertext, r.Tag)
		r.CDIV = cdiv[:]
		return r
	}
	r := good()
	got, err := xks.DecodeEncryptResponse(r.Encode(), req)
	require.NoError(t, err)
	assert.Equal(t, r, got)
	for name, spoil := range map[string]func(*xks.EncryptResponse){
		"short ciphertext":    func(r *xks.EncryptResponse) { r.Ciphertext = r.Ciphertext[:4] },
		"long ciphertext":     func(r *xks.EncryptResponse) { r.Ciphertext = append(r.Ciphertext, 1) },
		"no ciphertext":       func(r *xks.EncryptResponse) { r.Ciphertext = nil },
		"flipped ciphertext":  func(r *xks.EncryptResponse) { r.Ciphertext[0] ^= 1 },
		"flipped IV":          func(r *xks.EncryptResponse) { r.IV[3] ^= 1 },
		"IV of 13":            func(r *xks.EncryptResponse) { r.IV = make([]byte, 13) },
		"tag of 12":           func(r *xks.EncryptResponse) { r.Tag = r.Tag[:12] },
		"flipped metadata":    func(r *xks.EncryptResponse) { r.CiphertextMetadata[0] ^= 1 },
		"metadata of 21":      func(r *xks.EncryptResponse) { r.CiphertextMetadata = make([]byte, 21) },
		"no integrity value":  func(r *xks.EncryptResponse) { r.CDIV = nil },
		"cut integrity value": func(r *xks.EncryptResponse) { r.CDIV = r.CDIV[:31] },
	} {
		t.Run(name, func(t *testing.T) {
			r := good()
			spoil(&r)
			_, err := xks.DecodeEncryptResponse(r.Encode(), req)
			require.ErrorIs(t, err, xks.ErrMalformed)
		})
	}
	t.Run("no integrity value asked for", func(t *testing.T) {
		plain := &xks.EncryptRequest{Plaintext: []byte("12345")}
		r := good()
		r.CDIV = nil
		_, err := xks.DecodeEncryptResponse(r.Encode(), plain)
		require.NoError(t, err)
	})
}

func TestOtherResponses(t *testing.T) {
	decrypted := xks.DecryptResponse{Plaintext: []byte("12345")}
	got, err := xks.DecodeDecryptResponse(decrypted.Encode(), &xks.DecryptRequest{Ciphertext: []byte("abcde")})
	require.NoError(t, err)
	assert.Equal(t, decrypted, got)
	for _, length := range []int{4, 6} {
		_, err = xks.DecodeDecryptResponse(decrypted.Encode(), &xks.DecryptRequest{Ciphertext: make([]byte, length)})
		require.ErrorIs(t, err, xks.ErrMalformed)
	}

	metadata := xks.MetadataResponse{KeySpec: "AES_256", KeyUsage: []string{"ENCRYPT", "DECRYPT"}, KeyStatus: xks.KeyEnabled}
	gotMetadata, err := xks.DecodeMetadataResponse(metadata.Encode())
	require.NoError(t, err)
	assert.Equal(t, metadata, gotMetadata)
	for _, body := range []string{
		`{}`, `{"keySpec":"AES_256","keyUsage":["ENCRYPT"]}`, `{"keySpec":"AES_256","keyUsage":"ENCRYPT","keyStatus":"ENABLED"}`,
		`{"keySpec":"AES_256","keyUsage":["a"],"keyStatus":"enabled"}`, `{"keySpec":"","keyUsage":["a"],"keyStatus":"ENABLED"}`,
		`{"keySpec":"AES_256","keyUsage":["1","2","3","4","5","6","7","8","9","10","11"],"keyStatus":"ENABLED"}`, `<html>`,
	} {
		_, err := xks.DecodeMetadataResponse([]byte(body))
		assert.ErrorIs(t, err, xks.ErrMalformed, body)
	}

	health := xks.HealthResponse{FleetSize: 2, Vendor: "v", Model: "m", EKMVendor: "e", Instances: []xks.Instance{
		{ID: "1", Model: "m", Status: xks.Degraded}, {ID: "2", Model: "m", Status: xks.Unavailable},
	}}
	gotHealth, err := xks.DecodeHealthResponse(health.Encode())
	require.NoError(t, err)
	assert.Equal(t, health, gotHealth)
	assert.False(t, health.AllUnavailable())
	health.Instances[0].Status = xks.Unavailable
	assert.True(t, health.AllUnavailable())
	for _, spoil := range []func(*xks.HealthResponse){
		func(h *xks.HealthResponse) { h.FleetSize = 0 },
		func(h *xks.HealthResponse) { h.Instances = nil },
		func(h *xks.HealthResponse) { h.Instances = make([]xks.Instance, 11) },
		func(h *xks.HealthResponse) { h.Instances = []xks.Instance{{ID: "1", Status: "FINE"}} },
	} {
		h := health
		spoil(&h)
		_, err := xks.DecodeHealthResponse(h.Encode())
		assert.ErrorIs(t, err, xks.ErrMalformed)
	}
	for _, body := range []string{`{}`, `{"xksProxyFleetSize":"1"}`, `{"xksProxyFleetSize":1.5,"ekmFleetDetails":[1]}`,
		`{"xksProxyFleetSize":1,"xksProxyVendor":"v","xksProxyModel":"m","ekmVendor":"e","ekmFleetDetails":[1]}`} {
		_, err := xks.DecodeHealthResponse([]byte(body))
		assert.ErrorIs(t, err, xks.ErrMalformed, body)
	}
}

func TestDecodeError(t *testing.T) {
	e, err := xks.DecodeError([]byte(`{"errorName":"ThrottlingException","errorMessage":"too\nfast","extra":1}`))
	require.NoError(t, err)
	assert.Equal(t, xks.ThrottlingException, e.Name)
	assert.Equal(t, "too?fast", e.Message)
	e, err = xks.DecodeError([]byte(`{"errorName":"NeverHeardOf"}`))
	require.NoError(t, err)
	assert.False(t, e.Name.Known())
	for _, body := range []string{"", "{}", `{"errorName":1}`, `{"errorName":""}`, `{"errorName":"a","errorMessage":2}`, "<html>"} {
		_, err := xks.DecodeError([]byte(body))
		assert.ErrorIs(t, err, xks.ErrMalformed, body)
	}
}

// FuzzDecoders: every byte string gives a message or a typed error, and a message that was read reads the same again.
func FuzzDecoders(f *testing.F) {
	encrypt := xks.EncryptRequest{Metadata: fullMetadata, Plaintext: []byte("secret"), AAD: []byte("aad"), CDIV: true}
	decrypt := xks.DecryptRequest{Metadata: fullMetadata, Ciphertext: []byte("c"), IV: make([]byte, 12), Tag: make([]byte, 16)}
	health := xks.HealthResponse{FleetSize: 1, Instances: []xks.Instance{{ID: "1", Status: xks.Active}}}
	metadata := xks.MetadataResponse{KeySpec: "AES_256", KeyUsage: []string{"ENCRYPT"}, KeyStatus: xks.KeyEnabled}
	for _, seed := range [][]byte{
		[]byte(`{"plaintext":"YQ==","encryptionAlgorithm":"AES_GCM","requestMetadata":{"awsPrincipalArn":"","kmsKeyArn":"","kmsOperation":"","kmsRequestId":""}}`),
		encrypt.Encode(), decrypt.Encode(), health.Encode(), metadata.Encode(), []byte(`{"errorName":"a","errorMessage":"b"}`),
		[]byte(`{"a":{"b":[{"c":"\"}"}]},"plaintext":"\u0059Q==","requestMetadata":{"kmsOperation":null}}`), []byte(`{"":0}`), []byte(`{"a":1,"b":tru`),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		typed := func(err error) {
			var e *xks.Error
			if err != nil && !errors.As(err, &e) && !errors.Is(err, xks.ErrMalformed) {
				t.Fatalf("untyped error %v", err)
			}
		}
		r, err := xks.DecodeEncryptRequest(body, xks.Limits{})
		typed(err)
		if err == nil {
			again, err := xks.DecodeEncryptRequest(r.Encode(), xks.Limits{})
			require.NoError(t, err)
			require.Equal(t, r.Plaintext, again.Plaintext)
			require.Equal(t, r.Metadata, again.Metadata)
			require.Equal(t, r.CDIV, again.CDIV)
			require.Equal(t, string(r.AAD), string(again.AAD))
		}
		d, err := xks.DecodeDecryptRequest(body, xks.Limits{})
		typed(err)
		if err == nil {
			again, err := xks.DecodeDecryptRequest(d.Encode(), xks.Limits{})
			require.NoError(t, err)
			require.Equal(t, d.Ciphertext, again.Ciphertext)
		}
		_, err = xks.DecodeHealthRequest(body)
		typed(err)
		_, err = xks.DecodeMetadataRequest(body)
		typed(err)
		_, err = xks.DecodeHealthResponse(body)
		typed(err)
		_, err = xks.DecodeMetadataResponse(body)
		typed(err)
		_, err = xks.DecodeEncryptResponse(body, &encrypt)
		typed(err)
		_, err = xks.DecodeDecryptResponse(body, &decrypt)
		typed(err)
		_, err = xks.DecodeError(body)
		typed(err)
	})
}

func FuzzParsePath(f *testing.F) {
	f.Add("/kms/xks/v1/health")
	f.Add("/a/kms/xks/v1/keys/k/encrypt")
	f.Add("/kms/xks/v1/keys/../metadata")
	f.Fuzz(func(t *testing.T, path string) {
		uriPath, op, keyID, ok := xks.ParsePath(path)
		if ok && xks.OperationPath(uriPath, op, keyID) != path {
			t.Fatalf("%q was read as %q %q %q", path, uriPath, op, keyID)
		}
	})
}

func BenchmarkDecodeEncryptRequest(b *testing.B) {
	r := xks.EncryptRequest{Metadata: fullMetadata, Plaintext: make([]byte, 128), AAD: make([]byte, 64), CDIV: true}
	body := r.Encode()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := xks.DecodeEncryptRequest(body, xks.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}
