package clients_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	sigstore "github.com/sigstore/sigstore/pkg/signature/kms/aws"
	"github.com/sigstore/sigstore/pkg/signature/options"
	"github.com/stretchr/testify/require"
)

// TestSigstore makes keys and signs with what cosign and other tools of sigstore have for AWS KMS, for each algorithm that it
// offers. It signs with the first algorithm of a key's list.
func TestSigstore(t *testing.T) {
	ctx := t.Context()
	a := startAppliance(t)
	message := []byte("what is signed")
	for _, algorithm := range (&sigstore.SignerVerifier{}).SupportedAlgorithms() {
		t.Run(algorithm, func(t *testing.T) {
			reference := "awskms:///alias/sigstore-" + algorithm
			signer, err := sigstore.LoadSignerVerifier(ctx, reference)
			require.NoError(t, err)
			made, err := signer.CreateKey(ctx, algorithm)
			require.NoError(t, err)
			described, err := a.kms.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: aws.String("alias/sigstore-" + algorithm)})
			require.NoError(t, err)
			require.Equal(t, algorithm, string(described.KeyMetadata.KeySpec))
			public, err := a.kms.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: described.KeyMetadata.Arn})
			require.NoError(t, err)
			want, err := x509.ParsePKIXPublicKey(public.PublicKey)
			require.NoError(t, err)
			require.Equal(t, want, made)

			byARN, err := sigstore.LoadSignerVerifier(ctx, "awskms:///"+*described.KeyMetadata.Arn)
			require.NoError(t, err)
			signature, err := signer.SignMessage(bytes.NewReader(message), options.WithContext(ctx))
			require.NoError(t, err)
			for _, remote := range []bool{false, true} {
				require.NoError(t, byARN.VerifySignature(bytes.NewReader(signature), bytes.NewReader(message), options.WithRemoteVerification(remote)))
				require.Error(t, byARN.VerifySignature(bytes.NewReader(signature), bytes.NewReader(message[1:]), options.WithRemoteVerification(remote)))
			}

			a.disableKey(t, *described.KeyMetadata.Arn)
			_, err = signer.SignMessage(bytes.NewReader(message), options.WithContext(ctx))
			requireDisabled(t, err)
		})
	}
}

// TestSigstoreSigner signs a certificate request with a key of the appliance, by way of sigstore's crypto.Signer.
func TestSigstoreSigner(t *testing.T) {
	ctx := t.Context()
	startAppliance(t)
	verifier, err := sigstore.LoadSignerVerifier(ctx, "awskms:///alias/ca")
	require.NoError(t, err)
	public, err := verifier.CreateKey(ctx, verifier.DefaultAlgorithm())
	require.NoError(t, err)
	signer, opts, err := verifier.CryptoSigner(ctx, func(err error) { t.Error(err) })
	require.NoError(t, err)
	require.Equal(t, crypto.SHA256, opts.HashFunc())
	digest := sha256.Sum256([]byte("x"))
	_, err = signer.Sign(rand.Reader, digest[:], opts)
	require.NoError(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, signer)
	require.NoError(t, err)
	request, err := x509.ParseCertificateRequest(der)
	require.NoError(t, err)
	require.NoError(t, request.CheckSignature())
	require.Equal(t, public, request.PublicKey)
}
