package main

import (
	"context"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/cmd/strongroom/admin"
	"github.com/strongroom/strongroom/keystore/lifecycle"
)

// The appliance is ready when its stores are: the first call with a key of a store that was connected succeeds.
func TestReadyWithTheStores(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := newRig(t)
	control := shim(t, r)
	r.start()
	store := r.makeStore(ctx, "one", "")
	r.connect(ctx, store)
	key, err := r.kms.CreateKey(ctx, &kms.CreateKeyInput{CustomKeyStoreId: &store, Origin: types.OriginTypeAwsCloudhsm})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(control, []byte("slow C_Login 700\n"), 0o600))
	r.crash()
	r.start()
	_, err = r.kms.Encrypt(ctx, &kms.EncryptInput{KeyId: key.KeyMetadata.KeyId, Plaintext: []byte("a")})
	require.NoError(t, err)
	r.shutdown()
}

// What is to be destroyed when the appliance starts waits until its store is connected again: a start makes no orphans.
func TestStartMakesNoOrphans(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := newRig(t)
	r.start(crashVariable + "=" + lifecycle.StepDeleteCondemned)
	store := r.makeStore(ctx, "one", "")
	r.connect(ctx, store)
	for range 3 {
		out, err := r.kms.CreateKey(ctx, &kms.CreateKeyInput{CustomKeyStoreId: &store, Origin: types.OriginTypeAwsCloudhsm})
		require.NoError(t, err)
		_, err = r.kms.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: out.KeyMetadata.KeyId, PendingWindowInDays: aws.Int32(7)})
		require.NoError(t, err)
	}
	require.Error(t, r.advance(ctx, 8*24*time.Hour)) // it dies when the first key is gone
	<-r.ended
	r.process = nil

	r.start()
	require.Eventually(t, func() bool { return r.status(ctx).Material["destroyed"] == 3 }, time.Minute, 20*time.Millisecond)
	r.honest(ctx)
	var orphans []lifecycle.Orphan
	require.NoError(t, r.admin.Call(ctx, http.MethodGet, admin.PathOrphans, nil, &orphans))
	assert.Empty(t, orphans)
	left, err := r.kms.ListKeys(ctx, &kms.ListKeysInput{})
	require.NoError(t, err)
	assert.Empty(t, left.Keys)
	r.shutdown()
	witness(t, r.dir)
}
