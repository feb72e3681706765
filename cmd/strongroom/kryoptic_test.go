//go:build tokens

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm/hsmtest"
)

// A whole appliance on a token with PKCS#11 3.2: its keys outlive a kill, and go without a trace on their day.
func TestLatticeKeysOutliveAKill(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	require.NoError(t, hsmtest.WriteKryopticConf(filepath.Join(dir, "tokens")))
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "KRYOPTIC_CONF=" + filepath.Join(dir, "tokens", "kryoptic.conf")}
	start := func(log string) (*process, *kms.Client) {
		p, err := startDev(filepath.Join(dir, "appliance"), filepath.Join(dir, log), env, "--module", hsmtest.KryopticPath(t))
		require.NoError(t, err)
		vars, err := readEnvFile(filepath.Join(dir, "appliance", "dev.env"))
		require.NoError(t, err)
		return p, kms.New(kms.Options{BaseEndpoint: aws.String(vars["AWS_ENDPOINT_URL_KMS"]), Region: vars["AWS_REGION"],
			Credentials: credentials.NewStaticCredentialsProvider(vars["AWS_ACCESS_KEY_ID"], vars["AWS_SECRET_ACCESS_KEY"], "")})
	}
	p, c := start("first.log")
	ids := map[types.KeySpec]*string{}
	for spec, usage := range map[types.KeySpec]types.KeyUsageType{"ML_DSA_87": "SIGN_VERIFY", "ML_KEM_768": "ENCAPSULATE_DECAPSULATE"} {
		made, err := c.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: spec, KeyUsage: usage})
		require.NoError(t, err)
		ids[spec] = made.KeyMetadata.KeyId
	}
	message := []byte("a message")
	signed, err := c.Sign(ctx, &kms.SignInput{KeyId: ids["ML_DSA_87"], Message: message, SigningAlgorithm: "ML_DSA_SHAKE_256"})
	require.NoError(t, err)
	sealed, err := c.Encapsulate(ctx, &kms.EncapsulateInput{KeyId: ids["ML_KEM_768"], EncapsulationAlgorithm: "ML_KEM"})
	require.NoError(t, err)
	_ = p.end(syscall.SIGKILL) // its answer is that it was killed

	p, c = start("second.log")
	_, err = c.Verify(ctx, &kms.VerifyInput{KeyId: ids["ML_DSA_87"], Message: message, Signature: signed.Signature, SigningAlgorithm: "ML_DSA_SHAKE_256"})
	require.NoError(t, err)
	_, err = c.Sign(ctx, &kms.SignInput{KeyId: ids["ML_DSA_87"], Message: message, SigningAlgorithm: "ML_DSA_SHAKE_256"})
	require.NoError(t, err)
	opened, err := c.Decapsulate(ctx, &kms.DecapsulateInput{KeyId: ids["ML_KEM_768"], EncapsulationAlgorithm: "ML_KEM",
		SharedSecretCiphertextBlob: sealed.SharedSecretCiphertextBlob})
	require.NoError(t, err)
	assert.Equal(t, sealed.SharedSecret, opened.SharedSecret)

	run := func(args ...string) []byte {
		self, err := os.Executable()
		require.NoError(t, err)
		cmd := exec.Command(self)
		cmd.Args, cmd.Env = append([]string{"strongroom"}, args...), append([]string{raceOptions()}, env...)
		cmd.Dir = dir
		out, err := cmd.Output()
		require.NoError(t, err, "%v", args)
		return out
	}
	for _, id := range ids {
		_, err := c.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: id, PendingWindowInDays: aws.Int32(7)})
		require.NoError(t, err)
	}
	run("dev", "advance", "8d", "--dir", filepath.Join(dir, "appliance"))
	for _, id := range ids {
		_, err := c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: id})
		var gone *types.NotFoundException
		require.ErrorAs(t, err, &gone)
	}
	var report map[string][]any
	require.NoError(t, json.Unmarshal(run("orphans", "scan", "--json", "--dir", filepath.Join(dir, "appliance")), &report))
	for _, list := range []string{"unknown", "missing", "orphaned"} {
		assert.Empty(t, report[list], list)
	}
	require.NoError(t, p.end(syscall.SIGTERM))
}
