//go:build heavy

package clients_test

import (
	"bytes"
	"testing"

	mpl "github.com/aws/aws-cryptographic-material-providers-library/releases/go/mpl/awscryptographymaterialproviderssmithygenerated"
	mpltypes "github.com/aws/aws-cryptographic-material-providers-library/releases/go/mpl/awscryptographymaterialproviderssmithygeneratedtypes"
	esdk "github.com/aws/aws-encryption-sdk/releases/go/encryption-sdk/awscryptographyencryptionsdksmithygenerated"
	esdktypes "github.com/aws/aws-encryption-sdk/releases/go/encryption-sdk/awscryptographyencryptionsdksmithygeneratedtypes"
	"github.com/stretchr/testify/require"
)

// TestAWSEncryptionSDK seals a message under two keys and opens it with either.
func TestAWSEncryptionSDK(t *testing.T) {
	ctx := t.Context()
	a := startAppliance(t)
	first, second := a.createKey(t), a.createKey(t)
	providers, err := mpl.NewClient(mpltypes.MaterialProvidersConfig{})
	require.NoError(t, err)
	client, err := esdk.NewClient(esdktypes.AwsEncryptionSdkConfig{})
	require.NoError(t, err)
	keyring := func(arn string) mpltypes.IKeyring {
		k, err := providers.CreateAwsKmsKeyring(ctx, mpltypes.CreateAwsKmsKeyringInput{KmsClient: a.kms, KmsKeyId: arn})
		require.NoError(t, err)
		return k
	}
	both, err := providers.CreateMultiKeyring(ctx, mpltypes.CreateMultiKeyringInput{Generator: keyring(first),
		ChildKeyrings: []mpltypes.IKeyring{keyring(second)}})
	require.NoError(t, err)

	message := bytes.Repeat([]byte("attack at dawn. "), 1000)
	sealed, err := client.Encrypt(ctx, esdktypes.EncryptInput{Plaintext: message, Keyring: both,
		EncryptionContext: map[string]string{"order": "7"}})
	require.NoError(t, err)
	open := func(arn string, encryptionContext map[string]string) ([]byte, error) {
		out, err := client.Decrypt(ctx, esdktypes.DecryptInput{Ciphertext: sealed.Ciphertext, Keyring: keyring(arn),
			EncryptionContext: encryptionContext})
		if err != nil {
			return nil, err
		}
		return out.Plaintext, nil
	}
	for name, arn := range map[string]string{"the generator": first, "the other key": second} {
		opened, err := open(arn, map[string]string{"order": "7"})
		require.NoError(t, err, name)
		require.Equal(t, message, opened, name)
	}
	_, err = open(first, map[string]string{"order": "8"})
	require.Error(t, err)

	a.disableKey(t, first)
	_, err = open(first, map[string]string{"order": "7"})
	require.Error(t, err)
	_, err = open(second, map[string]string{"order": "7"})
	require.NoError(t, err)
}
