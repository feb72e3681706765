package clients_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go-awskms/v3/integration/awskms"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// Tink's envelope encryption, and a Tink keyset that is kept encrypted under a key of the appliance.
func TestTink(t *testing.T) {
	a := startAppliance(t)
	arn := a.createKey(t)
	uri := "aws-kms://" + arn
	client, err := awskms.NewClientWithOptions(t.Context(), uri)
	require.NoError(t, err)
	remote, err := client.GetAEAD(uri)
	require.NoError(t, err)

	envelope := aead.NewKMSEnvelopeAEAD2(aead.AES256GCMKeyTemplate(), remote)
	large := bytes.Repeat([]byte("more than KMS takes at once"), 1000)
	sealed, err := envelope.Encrypt(large, []byte("invoice 7"))
	require.NoError(t, err)
	opened, err := envelope.Decrypt(sealed, []byte("invoice 7"))
	require.NoError(t, err)
	require.Equal(t, large, opened)
	_, err = envelope.Decrypt(sealed, []byte("invoice 8"))
	require.Error(t, err)

	// What is authenticated goes to the appliance as encryption context.
	direct, err := remote.Encrypt([]byte("small"), []byte("invoice 7"))
	require.NoError(t, err)
	got, err := a.decrypt(t.Context(), direct, map[string]string{"associatedData": "696e766f6963652037"})
	require.NoError(t, err)
	require.Equal(t, "small", string(got))
	_, err = remote.Decrypt(direct, []byte("invoice 8"))
	require.ErrorContains(t, err, "InvalidCiphertextException")

	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	require.NoError(t, err)
	var kept bytes.Buffer
	require.NoError(t, handle.WriteWithAssociatedData(keyset.NewJSONWriter(&kept), remote, []byte("keyset")))
	read, err := keyset.ReadWithAssociatedData(keyset.NewJSONReader(bytes.NewReader(kept.Bytes())), remote, []byte("keyset"))
	require.NoError(t, err)
	require.Equal(t, handle.KeysetInfo().PrimaryKeyId, read.KeysetInfo().PrimaryKeyId)

	a.disableKey(t, arn)
	_, err = envelope.Decrypt(sealed, []byte("invoice 7"))
	requireDisabled(t, err)
	_, err = keyset.ReadWithAssociatedData(keyset.NewJSONReader(bytes.NewReader(kept.Bytes())), remote, []byte("keyset"))
	requireDisabled(t, err)
}
