package clients_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sops "github.com/getsops/sops/v3/kms"
	"github.com/stretchr/testify/require"
)

// The part of SOPS that speaks to AWS KMS, without the rest of SOPS: how a file's data key is wrapped and unwrapped. Whole files
// are in sopscli_test.go.
func TestSOPSKeySource(t *testing.T) {
	a := startAppliance(t)
	arn := a.createKey(t)
	dataKey := []byte("a data key of a file: 32 bytes..")
	context := map[string]*string{"Environment": aws.String("production")}

	wrapped := sops.NewMasterKey(arn, "", context)
	require.NoError(t, wrapped.Encrypt(dataKey))
	require.NotEmpty(t, wrapped.EncryptedKey)

	for name, tt := range map[string]struct {
		context map[string]*string
		refused string
	}{
		"the file's context": {context: context},
		"another context":    {context: map[string]*string{"Environment": aws.String("test")}, refused: "InvalidCiphertextException"},
		"no context":         {refused: "InvalidCiphertextException"},
	} {
		t.Run(name, func(t *testing.T) {
			read := sops.NewMasterKey(arn, "", tt.context)
			read.EncryptedKey, read.CreationDate = wrapped.EncryptedKey, time.Now()
			got, err := read.Decrypt()
			if tt.refused != "" {
				require.ErrorContains(t, err, tt.refused)
				return
			}
			require.NoError(t, err)
			require.Equal(t, dataKey, got)
		})
	}

	a.disableKey(t, arn)
	_, err := wrapped.Decrypt()
	requireDisabled(t, err)
}
