package main

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A stop waits for calls in flight for a bounded time. A change whose token has made the object and says no more is cut off, and
// then killed by whoever stops the appliance: its caller was told of no success, and the next start leaves nothing of it.
func TestStopCutsOffAChange(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := newRig(t)
	control := shim(t, r)
	r.start()
	key, err := r.kms.CreateKey(ctx, &kms.CreateKeyInput{})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(control, []byte("hang C_GetAttributeValue\n"), 0o600)) // of the object that was made
	answer := make(chan error, 1)
	go func() {
		_, err := r.kms.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: key.KeyMetadata.KeyId})
		answer <- err
	}()
	require.Eventually(t, func() bool { return r.status(ctx).Material["planned"] == 1 }, time.Minute, 10*time.Millisecond)
	require.NoError(t, r.cmd.Process.Signal(syscall.SIGTERM))
	require.Error(t, <-answer)
	r.crash()
	require.NoError(t, os.Remove(control))

	r.start()
	r.honest(ctx)
	left, err := r.kms.ListKeys(ctx, &kms.ListKeysInput{})
	require.NoError(t, err)
	assert.Len(t, left.Keys, 1)
	_, err = r.kms.Encrypt(ctx, &kms.EncryptInput{KeyId: key.KeyMetadata.KeyId, Plaintext: []byte("a")})
	require.NoError(t, err)
	r.shutdown()
	witness(t, r.dir)
}
