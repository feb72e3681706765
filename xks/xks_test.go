package xks_test

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/xks"
)

func testdata(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "testdata", "xks", name))
	require.NoError(t, err)
	return data
}

func TestErrorTable(t *testing.T) {
	rows, err := csv.NewReader(strings.NewReader(string(testdata(t, "errors.csv")))).ReadAll()
	require.NoError(t, err)
	header, rows := rows[0], rows[1:]
	require.Len(t, xks.ErrorNames(), len(rows))
	for _, row := range rows {
		name := xks.ErrorName(row[1])
		status, err := strconv.Atoi(row[0])
		require.NoError(t, err)
		assert.True(t, name.Known(), name)
		assert.Equal(t, status, name.Status(), name)
		assert.Equal(t, row[6] == "yes", name.Retryable(), name)
		for column := 2; column < 6; column++ {
			assert.Equal(t, row[column] == "yes", name.AllowedFor(xks.Operation(header[column])), "%s for %s", name, header[column])
		}
	}
	unknown := xks.ErrorName("XksKeyInvalidResponseException")
	assert.False(t, unknown.Known())
	assert.False(t, unknown.Retryable())
	assert.False(t, unknown.AllowedFor(xks.OpEncrypt))
	assert.Equal(t, http.StatusInternalServerError, unknown.Status())
}

func TestVectors(t *testing.T) {
	var vectors []struct{ Name, Plaintext, AAD, Metadata, IV, Token_AAD, Ciphertext, Tag, CDIV string }
	require.NoError(t, json.Unmarshal(testdata(t, "vectors.json"), &vectors))
	require.Len(t, vectors, 3)
	key := make([]byte, 32)
	for i := range key {
		key[i] = byte(i)
	}
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			raw := func(s string) []byte {
				b, err := hex.DecodeString(s)
				require.NoError(t, err)
				return b
			}
			framed := xks.AppendTokenAAD(nil, raw(v.AAD), raw(v.Metadata))
			assert.Equal(t, v.Token_AAD, hex.EncodeToString(framed))
			assert.Len(t, framed, xks.TokenAADSize(raw(v.AAD), raw(v.Metadata)))
			gcm, err := cipher.NewGCMWithNonceSize(block, len(raw(v.IV)))
			require.NoError(t, err)
			assert.Equal(t, v.Ciphertext+v.Tag, hex.EncodeToString(gcm.Seal(nil, raw(v.IV), raw(v.Plaintext), framed)))
			cdiv := xks.CDIV(raw(v.AAD), raw(v.Metadata), raw(v.IV), raw(v.Ciphertext), raw(v.Tag))
			assert.Equal(t, v.CDIV, hex.EncodeToString(cdiv[:]))
		})
	}
}

func TestFramingKeepsMetadataApartFromAAD(t *testing.T) {
	assert.NotEqual(t,
		xks.AppendTokenAAD(nil, []byte("aad"), []byte{1, 7}),
		xks.AppendTokenAAD(nil, []byte("aad\x01\x07"), nil))
	long := xks.AppendTokenAAD(nil, make([]byte, xks.MaxAAD), nil)
	assert.Equal(t, []byte{0xff, 0xff}, long[:2])
}

func TestURIPath(t *testing.T) {
	good := []string{"/kms/xks/v1", "/a/kms/xks/v1", "/tenant-1/b_2/kms/xks/v1", "/" + strings.Repeat("p", 116) + "/kms/xks/v1"}
	for _, path := range good {
		assert.NoError(t, xks.CheckURIPath(path), path)
	}
	bad := []string{
		"", "/", "kms/xks/v1", "/kms/xks/v2", "/kms/xks/v1/", "/KMS/xks/v1", "/a//kms/xks/v1", "/a.b/kms/xks/v1", "/a%20/kms/xks/v1",
		"/a?b/kms/xks/v1", "//kms/xks/v1", "a/kms/xks/v1", "/" + strings.Repeat("p", 117) + "/kms/xks/v1", "/é/kms/xks/v1",
	}
	for _, path := range bad {
		assert.ErrorIs(t, xks.CheckURIPath(path), xks.ErrURIPath, path)
	}
}

func TestKeyID(t *testing.T) {
	for _, id := range []string{"a", "A-b_c.9", "...", strings.Repeat("k", 128)} {
		assert.NoError(t, xks.CheckKeyID(id), id)
	}
	for _, id := range []string{"", ".", "..", "a/b", "a b", "a%41", "ü", strings.Repeat("k", 129)} {
		assert.ErrorIs(t, xks.CheckKeyID(id), xks.ErrKeyID, id)
	}
}

func TestEndpoint(t *testing.T) {
	assert.NoError(t, xks.CheckEndpoint("https://xks.example.com", false))
	assert.NoError(t, xks.CheckEndpoint("https://localhost:8443", true))
	for _, endpoint := range []string{"", "http://xks.example.com", "https://", "https://a", "https://xks.example.com/", "https://xks_a.example.com",
		"https://xks.example.com:443", "https://" + strings.Repeat("a", 121)} {
		assert.ErrorIs(t, xks.CheckEndpoint(endpoint, false), xks.ErrEndpoint, endpoint)
	}
	for _, endpoint := range []string{"https://localhost:", "https://localhost:99999999", "https://localhost:8a", "https://:8443"} {
		assert.ErrorIs(t, xks.CheckEndpoint(endpoint, true), xks.ErrEndpoint, endpoint)
	}
}

func TestURILength(t *testing.T) {
	endpoint, path := "https://"+strings.Repeat("e", 92), "/"+strings.Repeat("p", 88)+"/kms/xks/v1"
	require.Len(t, endpoint, 100)
	require.Len(t, path, 100)
	assert.NoError(t, xks.CheckURILength(endpoint, path, strings.Repeat("k", 41)))
	assert.ErrorIs(t, xks.CheckURILength(endpoint, path, strings.Repeat("k", 42)), xks.ErrURILong)
}

func TestParsePath(t *testing.T) {
	for _, op := range xks.Operations() {
		for _, prefix := range []string{"/kms/xks/v1", "/tenant/kms/xks/v1", "/kms/xks/v1/kms/xks/v1"} {
			keyID := "key-1"
			if op == xks.OpHealth {
				keyID = ""
			}
			gotPrefix, gotOp, gotKey, ok := xks.ParsePath(xks.OperationPath(prefix, op, keyID))
			require.True(t, ok, "%s %s", prefix, op)
			assert.Equal(t, prefix, gotPrefix)
			assert.Equal(t, op, gotOp)
			assert.Equal(t, keyID, gotKey)
		}
	}
	for _, path := range []string{
		"", "/", "/kms/xks/v1", "/kms/xks/v1/", "/kms/xks/v1/healthy", "/kms/xks/v1/health/", "/kms/xks/v2/health", "/kms/xks/v1/keys",
		"/kms/xks/v1/keys/", "/kms/xks/v1/keys/a", "/kms/xks/v1/keys/a/", "/kms/xks/v1/keys/a/sign", "/kms/xks/v1/keys/a/encrypt/",
		"/kms/xks/v1/keys//encrypt", "/kms/xks/v1/keys/../encrypt", "/kms/xks/v1/keys/a%20b/encrypt", "//kms/xks/v1/health",
		"/a/../kms/xks/v1/health", "/kms/xks/v1/keys/a/Encrypt", "/kms/xks/v1/keys/" + strings.Repeat("a", 129) + "/encrypt",
	} {
		_, _, _, ok := xks.ParsePath(path)
		assert.False(t, ok, path)
	}
}

func TestCredentialForms(t *testing.T) {
	assert.NoError(t, xks.CheckAccessKeyID(strings.Repeat("A", 20)))
	assert.NoError(t, xks.CheckAccessKeyID(strings.Repeat("7", 30)))
	for _, id := range []string{"", strings.Repeat("A", 19), strings.Repeat("A", 31), strings.Repeat("A", 19) + "1", strings.Repeat("a", 20)} {
		assert.ErrorIs(t, xks.CheckAccessKeyID(id), xks.ErrAccessKeyID, id)
	}
	for _, size := range []int{43, 44, 52, 64} {
		assert.NoError(t, xks.CheckSecret([]byte(strings.Repeat("a", size-3)+"/+=")))
	}
	for _, secret := range []string{"", strings.Repeat("a", 42), strings.Repeat("a", 65), strings.Repeat("a", 42) + "-"} {
		err := xks.CheckSecret([]byte(secret))
		assert.ErrorIs(t, err, xks.ErrSecret)
	}
}

func TestError(t *testing.T) {
	cause := errors.New("CKR_DEVICE_ERROR")
	err := xks.WrapError(xks.InternalException, "the key manager failed", cause)
	assert.ErrorIs(t, err, cause)
	assert.Equal(t, "InternalException: the key manager failed: CKR_DEVICE_ERROR", err.Error())
	assert.Equal(t, xks.InternalException, xks.NameOf(errors.Join(errors.New("outer"), err)))
	assert.Equal(t, xks.InternalException, xks.NameOf(cause))
	assert.Empty(t, xks.NameOf(nil))
	assert.JSONEq(t, `{"errorName":"InternalException","errorMessage":"the key manager failed"}`, string(err.Encode()))
	assert.Equal(t, `{"errorName":"ThrottlingException"}`, string(xks.NewError(xks.ThrottlingException, "").Encode()))
	long := xks.CleanMessage(strings.Repeat("ü\n", 1000))
	assert.Len(t, long, xks.MaxErrorMessage)
	assert.Empty(t, strings.Trim(long, "?"))
}
