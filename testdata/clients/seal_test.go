package clients_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	wrapping "github.com/hashicorp/go-kms-wrapping/v2"
	"github.com/hashicorp/go-kms-wrapping/wrappers/awskms/v2"
	"github.com/stretchr/testify/require"
)

// The awskms seal of Vault and OpenBao is this wrapper. It uses the AWS SDK for Go of the first generation, which does not read
// AWS_ENDPOINT_URL_KMS.
func TestAWSKMSSeal(t *testing.T) {
	for name, configure := range map[string]func(t *testing.T, a *appliance, key string) []wrapping.Option{
		"by options": func(t *testing.T, a *appliance, key string) []wrapping.Option {
			for _, variable := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"} {
				t.Setenv(variable, "")
			}
			return []wrapping.Option{wrapping.WithKeyId(key), wrapping.WithConfigMap(map[string]string{
				"region": a.region, "access_key": a.accessKey, "secret_key": a.secretKey, "endpoint": a.endpoint})}
		},
		"by variables": func(t *testing.T, a *appliance, key string) []wrapping.Option {
			t.Setenv("VAULT_AWSKMS_SEAL_KEY_ID", key)
			t.Setenv("AWS_KMS_ENDPOINT", a.endpoint)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := startAppliance(t)
			arn := a.createKey(t)
			alias := "alias/vault-unseal"
			_, err := a.kms.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: &arn})
			require.NoError(t, err)

			seal := awskms.NewWrapper()
			told, err := seal.SetConfig(t.Context(), configure(t, a, alias)...)
			require.NoError(t, err)
			require.Equal(t, a.endpoint, told.Metadata["endpoint"])

			rootKey := []byte("the root key of a vault")
			sealed, err := seal.Encrypt(t.Context(), rootKey)
			require.NoError(t, err)
			require.Equal(t, arn, sealed.KeyInfo.KeyId, "an alias is resolved to the key that it names")
			opened, err := seal.Decrypt(t.Context(), sealed)
			require.NoError(t, err)
			require.Equal(t, rootKey, opened)

			// A vault whose key is rotated opens what it sealed before.
			_, err = a.kms.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: &arn})
			require.NoError(t, err)
			opened, err = seal.Decrypt(t.Context(), sealed)
			require.NoError(t, err)
			require.Equal(t, rootKey, opened)

			a.disableKey(t, arn)
			_, err = seal.Decrypt(t.Context(), sealed)
			requireDisabled(t, err)
		})
	}
}
