package api_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
)

func TestGetKeyLastUsageThroughTheSDK(t *testing.T) {
	a := start(t)
	c, ctx := a.client(a.root), context.Background()
	create := func() *types.KeyMetadata {
		made, err := c.CreateKey(ctx, &kms.CreateKeyInput{})
		require.NoError(t, err)
		return made.KeyMetadata
	}
	last := func(k *types.KeyMetadata) *kms.GetKeyLastUsageOutput {
		out, err := c.GetKeyLastUsage(ctx, &kms.GetKeyLastUsageInput{KeyId: k.Arn})
		require.NoError(t, err)
		assert.Equal(t, k.KeyId, out.KeyId)
		assert.Equal(t, k.CreationDate, out.KeyCreationDate)
		assert.Equal(t, k.CreationDate, out.TrackingStartDate, "the key was made since tracking began")
		return out
	}
	one, two := create(), create()
	require.NotNil(t, last(one).KeyLastUsage, "an empty object")
	assert.Empty(t, last(one).KeyLastUsage.Operation)
	assert.Nil(t, last(one).KeyLastUsage.Timestamp)

	before := time.Now()
	sealed, err := c.Encrypt(ctx, &kms.EncryptInput{KeyId: one.KeyId, Plaintext: []byte("x")})
	require.NoError(t, err)
	used := last(one).KeyLastUsage
	record := a.lastRecord(t, "Encrypt")
	assert.Equal(t, types.KeyLastUsageTrackingOperationEncrypt, used.Operation)
	assert.Equal(t, record["eventID"], *used.CloudTrailEventId, "the event of the audit log")
	assert.Equal(t, record["requestID"], *used.KmsRequestId)
	between(t, *used.Timestamp, before, 0)

	// What fails, or is no cryptographic operation, is no use.
	_, err = c.Encrypt(ctx, &kms.EncryptInput{KeyId: two.KeyId, Plaintext: []byte("x"), DryRun: aws.Bool(true)})
	require.Error(t, err)
	_, err = c.Decrypt(ctx, &kms.DecryptInput{KeyId: two.KeyId, CiphertextBlob: sealed.CiphertextBlob})
	require.Error(t, err)
	_, err = c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: two.KeyId})
	require.NoError(t, err)
	assert.Empty(t, last(two).KeyLastUsage.Operation)

	_, err = c.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: sealed.CiphertextBlob, DestinationKeyId: two.KeyId})
	require.NoError(t, err)
	for _, k := range []*types.KeyMetadata{one, two} {
		assert.Equal(t, types.KeyLastUsageTrackingOperationReEncrypt, last(k).KeyLastUsage.Operation, "both keys")
	}

	_, err = c.GetKeyLastUsage(ctx, &kms.GetKeyLastUsageInput{KeyId: aws.String("alias/a")})
	require.Error(t, err)
	_, err = c.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: one.KeyId})
	require.NoError(t, err)
	assert.Equal(t, types.KeyLastUsageTrackingOperationReEncrypt, last(one).KeyLastUsage.Operation, "in every state")
}

// Every operation that GetKeyLastUsage can report is one that counts.
func TestOperationsThatCountAsUse(t *testing.T) {
	var counted []types.KeyLastUsageTrackingOperation
	for _, action := range keystore.Actions() {
		if keystore.CountsAsUse(action) {
			counted = append(counted, types.KeyLastUsageTrackingOperation(action))
		}
	}
	assert.ElementsMatch(t, types.KeyLastUsageTrackingOperation("").Values(), counted)
}
