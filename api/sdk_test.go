package api_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEveryOperationThroughTheSDK walks through a key's life with the real SDK against real parts.
func TestEveryOperationThroughTheSDK(t *testing.T) {
	a := start(t)
	c, ctx := a.client(a.root), context.Background()

	before := time.Now()
	made, err := c.CreateKey(ctx, &kms.CreateKeyInput{Description: aws.String("first"), Tags: []types.Tag{{TagKey: aws.String("a"), TagValue: aws.String("1")}}})
	require.NoError(t, err)
	md := made.KeyMetadata
	arn := "arn:aws:kms:us-east-1:111122223333:key/" + *md.KeyId
	assert.Equal(t, arn, *md.Arn)
	assert.Equal(t, types.KeyStateEnabled, md.KeyState)
	assert.True(t, md.Enabled)
	between(t, *md.CreationDate, before, 0)
	assert.Len(t, *md.CurrentKeyMaterialId, 64)

	encrypted, err := c.Encrypt(ctx, &kms.EncryptInput{KeyId: md.KeyId, Plaintext: []byte("hello"), EncryptionContext: map[string]string{"k": "v"}})
	require.NoError(t, err)
	assert.Equal(t, arn, *encrypted.KeyId)
	assert.Equal(t, types.EncryptionAlgorithmSpecSymmetricDefault, encrypted.EncryptionAlgorithm)
	decrypted, err := c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: encrypted.CiphertextBlob, EncryptionContext: map[string]string{"k": "v"}})
	require.NoError(t, err)
	assert.Equal(t, "hello", string(decrypted.Plaintext))
	assert.Equal(t, md.CurrentKeyMaterialId, decrypted.KeyMaterialId)
	again, err := c.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: encrypted.CiphertextBlob, SourceEncryptionContext: map[string]string{"k": "v"}, DestinationKeyId: md.Arn})
	require.NoError(t, err)
	assert.Equal(t, arn, *again.SourceKeyId)
	dataKey, err := c.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: md.KeyId, KeySpec: types.DataKeySpecAes256})
	require.NoError(t, err)
	assert.Len(t, dataKey.Plaintext, 32)
	bare, err := c.GenerateDataKeyWithoutPlaintext(ctx, &kms.GenerateDataKeyWithoutPlaintextInput{KeyId: md.KeyId, NumberOfBytes: aws.Int32(7)})
	require.NoError(t, err)
	opened, err := c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: bare.CiphertextBlob})
	require.NoError(t, err)
	assert.Len(t, opened.Plaintext, 7)
	random, err := c.GenerateRandom(ctx, &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(1024)})
	require.NoError(t, err)
	assert.Len(t, random.Plaintext, 1024)

	namesAndMarks(t, a, c, md)
	lifeAndDeath(t, a, c, md)
}

// namesAndMarks is about description, aliases, tags and policies.
func namesAndMarks(t *testing.T, a *appliance, c *kms.Client, md *types.KeyMetadata) {
	t.Helper()
	ctx := context.Background()
	_, err := c.UpdateKeyDescription(ctx, &kms.UpdateKeyDescriptionInput{KeyId: md.KeyId, Description: aws.String("second")})
	require.NoError(t, err)
	_, err = c.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/one"), TargetKeyId: md.KeyId})
	require.NoError(t, err)
	described, err := c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: aws.String("alias/one")})
	require.NoError(t, err)
	assert.Equal(t, "second", *described.KeyMetadata.Description)
	other, err := c.CreateKey(ctx, &kms.CreateKeyInput{})
	require.NoError(t, err)
	_, err = c.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: aws.String("alias/one"), TargetKeyId: other.KeyMetadata.KeyId})
	require.NoError(t, err)
	aliases, err := c.ListAliases(ctx, &kms.ListAliasesInput{})
	require.NoError(t, err)
	require.Len(t, aliases.Aliases, 1)
	assert.Equal(t, other.KeyMetadata.KeyId, aliases.Aliases[0].TargetKeyId)
	assert.Equal(t, "arn:aws:kms:us-east-1:111122223333:alias/one", *aliases.Aliases[0].AliasArn)
	_, err = c.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: aws.String("alias/one")})
	require.NoError(t, err)

	var keys []string
	pages := kms.NewListKeysPaginator(c, &kms.ListKeysInput{Limit: aws.Int32(1)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		require.NoError(t, err)
		for _, k := range page.Keys {
			keys = append(keys, *k.KeyArn)
		}
	}
	assert.ElementsMatch(t, []string{*md.Arn, *other.KeyMetadata.Arn}, keys)

	_, err = c.TagResource(ctx, &kms.TagResourceInput{KeyId: md.KeyId, Tags: []types.Tag{{TagKey: aws.String("b"), TagValue: aws.String("")}}})
	require.NoError(t, err)
	_, err = c.UntagResource(ctx, &kms.UntagResourceInput{KeyId: md.KeyId, TagKeys: []string{"a"}})
	require.NoError(t, err)
	tags, err := c.ListResourceTags(ctx, &kms.ListResourceTagsInput{KeyId: md.KeyId})
	require.NoError(t, err)
	assert.Equal(t, []types.Tag{{TagKey: aws.String("b"), TagValue: aws.String("")}}, tags.Tags)

	policy, err := c.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: md.KeyId})
	require.NoError(t, err)
	assert.Equal(t, "default", *policy.PolicyName)
	_, err = c.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: md.KeyId, Policy: policy.Policy})
	require.NoError(t, err)
	policies, err := c.ListKeyPolicies(ctx, &kms.ListKeyPoliciesInput{KeyId: md.KeyId})
	require.NoError(t, err)
	assert.Equal(t, []string{"default"}, policies.PolicyNames)
	assert.False(t, policies.Truncated)
}

func lifeAndDeath(t *testing.T, a *appliance, c *kms.Client, md *types.KeyMetadata) {
	t.Helper()
	ctx := context.Background()
	_, err := c.DisableKey(ctx, &kms.DisableKeyInput{KeyId: md.KeyId})
	require.NoError(t, err)
	_, err = c.Encrypt(ctx, &kms.EncryptInput{KeyId: md.KeyId, Plaintext: []byte("x")})
	var disabled *types.DisabledException
	require.ErrorAs(t, err, &disabled)
	assert.Equal(t, *md.Arn+" is disabled.", disabled.ErrorMessage())
	_, err = c.EnableKey(ctx, &kms.EnableKeyInput{KeyId: md.KeyId})
	require.NoError(t, err)
	before := time.Now()
	scheduled, err := c.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: md.KeyId, PendingWindowInDays: aws.Int32(7)})
	require.NoError(t, err)
	assert.Equal(t, int32(7), *scheduled.PendingWindowInDays)
	between(t, *scheduled.DeletionDate, before, 7*day)
	cancelled, err := c.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: md.KeyId})
	require.NoError(t, err)
	assert.Equal(t, md.Arn, cancelled.KeyId)
	_, err = c.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: md.KeyId, PendingWindowInDays: aws.Int32(7)})
	require.NoError(t, err)
	_, err = c.Encrypt(ctx, &kms.EncryptInput{KeyId: md.KeyId, Plaintext: []byte("x")})
	var state *types.KMSInvalidStateException
	require.ErrorAs(t, err, &state)
	assert.Equal(t, *md.Arn+" is pending deletion.", state.ErrorMessage())
	assert.Equal(t, 1, a.seen.pending)

	a.clock.advance(8 * 24 * time.Hour)
	_, err = a.sweeper.SweepOnce(ctx, a.clock.Now())
	require.NoError(t, err)
	_, err = c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: md.KeyId})
	var gone *types.NotFoundException
	require.ErrorAs(t, err, &gone)
	assert.Equal(t, "Key '"+*md.Arn+"' does not exist", gone.ErrorMessage())
}

func TestCustomKeyStoresThroughTheSDK(t *testing.T) {
	a := start(t)
	c, ctx := a.client(a.root), context.Background()
	made, err := c.CreateCustomKeyStore(ctx, &kms.CreateCustomKeyStoreInput{CustomKeyStoreName: aws.String("hsm"),
		CloudHsmClusterId: aws.String(clusterID), KeyStorePassword: aws.String("wrong77"), TrustAnchorCertificate: aws.String(a.anchor)})
	require.NoError(t, err)
	id := made.CustomKeyStoreId
	assert.True(t, strings.HasPrefix(*id, "cks-"))
	record := a.lastRecord(t, "CreateCustomKeyStore")
	assert.Equal(t, map[string]any{"customKeyStoreName": "hsm", "cloudHsmClusterId": clusterID}, record["requestParameters"])
	assert.Equal(t, map[string]any{"customKeyStoreId": *id}, record["responseElements"])

	failed := a.connect(t, c, id)
	assert.Equal(t, types.ConnectionStateTypeFailed, failed.ConnectionState)
	assert.Equal(t, types.ConnectionErrorCodeTypeInvalidCredentials, failed.ConnectionErrorCode)
	assert.Equal(t, clusterID, *failed.CloudHsmClusterId)
	assert.Equal(t, a.anchor, *failed.TrustAnchorCertificate)
	a.disconnect(t, c, id)
	_, err = c.UpdateCustomKeyStore(ctx, &kms.UpdateCustomKeyStoreInput{CustomKeyStoreId: id, KeyStorePassword: aws.String(kmsuser)})
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"customKeyStoreId": *id}, a.lastRecord(t, "UpdateCustomKeyStore")["requestParameters"])
	connected := a.connect(t, c, id)
	assert.Equal(t, types.ConnectionStateTypeConnected, connected.ConnectionState)
	assert.Empty(t, connected.ConnectionErrorCode)

	a.useStore(t, c, id)
	_, err = c.DeleteCustomKeyStore(ctx, &kms.DeleteCustomKeyStoreInput{CustomKeyStoreId: id})
	require.NoError(t, err)
	_, err = c.ConnectCustomKeyStore(ctx, &kms.ConnectCustomKeyStoreInput{CustomKeyStoreId: id})
	var missing *types.CustomKeyStoreNotFoundException
	require.ErrorAs(t, err, &missing)
}

func (a *appliance) connect(t *testing.T, c *kms.Client, id *string) types.CustomKeyStoresListEntry {
	t.Helper()
	ctx := context.Background()
	_, err := c.ConnectCustomKeyStore(ctx, &kms.ConnectCustomKeyStoreInput{CustomKeyStoreId: id})
	require.NoError(t, err)
	require.NoError(t, a.manager.Wait(ctx))
	list, err := c.DescribeCustomKeyStores(ctx, &kms.DescribeCustomKeyStoresInput{CustomKeyStoreId: id})
	require.NoError(t, err)
	require.Len(t, list.CustomKeyStores, 1)
	return list.CustomKeyStores[0]
}

func (a *appliance) disconnect(t *testing.T, c *kms.Client, id *string) {
	t.Helper()
	_, err := c.DisconnectCustomKeyStore(context.Background(), &kms.DisconnectCustomKeyStoreInput{CustomKeyStoreId: id})
	require.NoError(t, err)
	require.NoError(t, a.manager.Wait(context.Background()))
	assert.Equal(t, map[string]any{"customKeyStoreName": "hsm", "clusterId": clusterID},
		a.lastRecord(t, "DisconnectCustomKeyStore")["additionalEventData"])
}

// useStore makes a key in a connected store, and leaves the store disconnected and empty.
func (a *appliance) useStore(t *testing.T, c *kms.Client, id *string) {
	t.Helper()
	ctx := context.Background()
	random, err := c.GenerateRandom(ctx, &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(16), CustomKeyStoreId: id})
	require.NoError(t, err)
	assert.Len(t, random.Plaintext, 16)
	made, err := c.CreateKey(ctx, &kms.CreateKeyInput{Origin: types.OriginTypeAwsCloudhsm, CustomKeyStoreId: id})
	require.NoError(t, err)
	md := made.KeyMetadata
	assert.Equal(t, clusterID, *md.CloudHsmClusterId)
	assert.Nil(t, md.CurrentKeyMaterialId)
	assert.Regexp(t, `^{"backingKeyId":"[0-9a-f]{32}"}$`, a.lastRecord(t, "CreateKey")["additionalEventData"].(map[string]any)["backingKey"])
	sealed, err := c.Encrypt(ctx, &kms.EncryptInput{KeyId: md.KeyId, Plaintext: []byte("hello")})
	require.NoError(t, err)
	opened, err := c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: sealed.CiphertextBlob})
	require.NoError(t, err)
	assert.Equal(t, "hello", string(opened.Plaintext))
	assert.Nil(t, opened.KeyMaterialId)

	a.disconnect(t, c, id)
	described, err := c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: md.KeyId})
	require.NoError(t, err)
	assert.Equal(t, types.KeyStateUnavailable, described.KeyMetadata.KeyState)
	_, err = c.Encrypt(ctx, &kms.EncryptInput{KeyId: md.KeyId, Plaintext: []byte("x")})
	var state *types.KMSInvalidStateException
	require.ErrorAs(t, err, &state)
	assert.Equal(t, *md.Arn+" is unavailable.", state.ErrorMessage())
	_, err = c.DeleteCustomKeyStore(ctx, &kms.DeleteCustomKeyStoreInput{CustomKeyStoreId: id})
	var full *types.CustomKeyStoreHasCMKsException
	require.ErrorAs(t, err, &full)

	_, err = c.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: md.KeyId, PendingWindowInDays: aws.Int32(7)})
	require.NoError(t, err)
	a.clock.advance(8 * 24 * time.Hour)
	_, err = a.sweeper.SweepOnce(ctx, a.clock.Now())
	require.NoError(t, err)
}
