package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api/apitest"
	"github.com/strongroom/strongroom/cmd/strongroom/admin"
)

const (
	us = "us-east-1"
	eu = "eu-west-1"
	ap = "ap-south-1"
)

// globe is a rig that serves three Regions.
type globe struct{ *rig }

func newGlobe(t *testing.T) *globe {
	g := &globe{newRig(t, "--region", us+","+eu+","+ap)}
	g.start()
	return g
}

// in is a client of a Region.
func (g *globe) in(region string) *kms.Client {
	return kms.New(kms.Options{
		BaseEndpoint: aws.String(g.vars["AWS_ENDPOINT_URL_KMS"]), Region: region, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(g.vars["AWS_ACCESS_KEY_ID"], g.vars["AWS_SECRET_ACCESS_KEY"], ""),
	}, apitest.SendWhole)
}

func (g *globe) arn(region string, id *string) string {
	return "arn:aws:kms:" + region + ":000000000000:key/" + *id
}

func (g *globe) hold(path string) {
	g.t.Helper()
	require.NoError(g.t, g.admin.Call(g.t.Context(), http.MethodPost, path, admin.Empty{}, nil))
}

func (g *globe) create(in *kms.CreateKeyInput) *types.KeyMetadata {
	g.t.Helper()
	in.MultiRegion = aws.Bool(true)
	out, err := g.in(us).CreateKey(g.t.Context(), in)
	require.NoError(g.t, err)
	return out.KeyMetadata
}

func (g *globe) describe(region string, id *string) *types.KeyMetadata {
	g.t.Helper()
	out, err := g.in(region).DescribeKey(g.t.Context(), &kms.DescribeKeyInput{KeyId: id})
	require.NoError(g.t, err)
	return out.KeyMetadata
}

func (g *globe) replicate(from, to string, id *string) error {
	_, err := g.in(from).ReplicateKey(g.t.Context(), &kms.ReplicateKeyInput{KeyId: id, ReplicaRegion: &to})
	return err
}

// become waits for a state.
func (g *globe) become(region string, id *string, state types.KeyState) {
	g.t.Helper()
	var got types.KeyState
	require.Eventually(g.t, func() bool { got = g.describe(region, id).KeyState; return got == state }, time.Minute, 10*time.Millisecond,
		"%s in %s is not %s", *id, region, state)
}

// refused asserts an exception with its message.
func refused(t *testing.T, err error, exception, message string) {
	t.Helper()
	var e smithy.APIError
	require.ErrorAs(t, err, &e)
	assert.Equal(t, exception, e.ErrorCode())
	assert.Equal(t, message, e.ErrorMessage())
}

// interchange shows that what one Region encrypts every other one opens.
func (g *globe) interchange(id *string, regions ...string) {
	g.t.Helper()
	for _, from := range regions {
		blob, err := g.in(from).Encrypt(g.t.Context(), &kms.EncryptInput{KeyId: id, Plaintext: []byte(from), EncryptionContext: map[string]string{"a": "b"}})
		require.NoError(g.t, err)
		for _, to := range regions {
			out, err := g.in(to).Decrypt(g.t.Context(), &kms.DecryptInput{CiphertextBlob: blob.CiphertextBlob, EncryptionContext: map[string]string{"a": "b"}})
			require.NoError(g.t, err, "from %s to %s", from, to)
			assert.Equal(g.t, from, string(out.Plaintext))
			assert.Equal(g.t, g.arn(to, id), *out.KeyId)
		}
	}
}

// A replica without tags has an empty list, not none (the example of the AWS CLI's replicate-key).
func TestReplicaWithoutTags(t *testing.T) {
	t.Parallel()
	g := newGlobe(t)
	k := g.create(&kms.CreateKeyInput{Tags: []types.Tag{{TagKey: aws.String("a"), TagValue: aws.String("b")}}})
	out, err := g.in(us).ReplicateKey(t.Context(), &kms.ReplicateKeyInput{KeyId: k.KeyId, ReplicaRegion: aws.String(eu)})
	require.NoError(t, err)
	require.NotNil(t, out.ReplicaTags)
	assert.Empty(t, out.ReplicaTags)
}

func TestReplicas(t *testing.T) {
	t.Parallel()
	g, ctx := newGlobe(t), t.Context()
	k := g.create(&kms.CreateKeyInput{Description: aws.String("first")})
	assert.Regexp(t, `^mrk-[0-9a-f]{32}$`, *k.KeyId)
	assert.Equal(t, types.MultiRegionKeyTypePrimary, k.MultiRegionConfiguration.MultiRegionKeyType)
	assert.NotNil(t, k.MultiRegionConfiguration.ReplicaKeys)
	before, err := g.in(us).Encrypt(ctx, &kms.EncryptInput{KeyId: k.KeyId, Plaintext: []byte("old")})
	require.NoError(t, err)

	g.hold(admin.PathHold)
	out, err := g.in(us).ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: k.KeyId, ReplicaRegion: aws.String(eu),
		Description: aws.String("second"), Tags: []types.Tag{{TagKey: aws.String("a"), TagValue: aws.String("b")}}})
	require.NoError(t, err)
	r := out.ReplicaKeyMetadata
	assert.Equal(t, types.KeyStateCreating, r.KeyState)
	assert.False(t, r.Enabled)
	assert.Equal(t, *k.KeyId, *r.KeyId)
	assert.Equal(t, g.arn(eu, k.KeyId), *r.Arn)
	assert.Equal(t, types.MultiRegionKeyTypeReplica, r.MultiRegionConfiguration.MultiRegionKeyType)
	assert.Equal(t, us, *r.MultiRegionConfiguration.PrimaryKey.Region)
	assert.Contains(t, *out.ReplicaPolicy, "key-default-1")
	require.Len(t, out.ReplicaTags, 1)
	assert.Equal(t, "second", *r.Description)
	_, err = g.in(eu).Encrypt(ctx, &kms.EncryptInput{KeyId: k.KeyId, Plaintext: []byte("x")})
	refused(t, err, "KMSInvalidStateException", *r.Arn+" is creating.")
	_, err = g.in(eu).DisableKey(ctx, &kms.DisableKeyInput{KeyId: k.KeyId})
	refused(t, err, "KMSInvalidStateException", *r.Arn+" is creating.")

	refused(t, g.replicate(us, eu, k.KeyId), "AlreadyExistsException", "A related multi-Region key exists in Region "+eu+" already: "+*r.Arn)
	refused(t, g.replicate(us, us, k.KeyId), "AlreadyExistsException", "A related multi-Region key exists in Region "+us+" already: "+*k.Arn)
	refused(t, g.replicate(us, "mars-north-1", k.KeyId), "UnsupportedOperationException", "Region mars-north-1 is not served by this appliance.")
	refused(t, g.replicate(eu, ap, k.KeyId), "KMSInvalidStateException", *r.Arn+" is creating.")
	single, err := g.in(us).CreateKey(ctx, &kms.CreateKeyInput{})
	require.NoError(t, err)
	refused(t, g.replicate(us, eu, single.KeyMetadata.KeyId), "UnsupportedOperationException", *single.KeyMetadata.Arn+" is not a multi-region primary key.")
	err = g.replicate(us, "nowhere", k.KeyId)
	var e smithy.APIError
	require.ErrorAs(t, err, &e)
	assert.Equal(t, "ValidationException", e.ErrorCode())

	g.hold(admin.PathRelease)
	assert.Equal(t, types.KeyStateEnabled, g.describe(eu, k.KeyId).KeyState, "release waits for what it lets go")
	require.NoError(t, g.replicate(us, ap, k.KeyId))
	g.become(ap, k.KeyId, types.KeyStateEnabled)
	refused(t, g.replicate(eu, ap, k.KeyId), "UnsupportedOperationException", *r.Arn+" is not a multi-region primary key.")
	g.interchange(k.KeyId, us, eu, ap)
	old, err := g.in(ap).Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: before.CiphertextBlob})
	require.NoError(t, err)
	assert.Equal(t, "old", string(old.Plaintext))
	for _, region := range []string{us, eu, ap} {
		m := g.describe(region, k.KeyId).MultiRegionConfiguration
		require.Len(t, m.ReplicaKeys, 2)
		assert.Equal(t, g.arn(ap, k.KeyId), *m.ReplicaKeys[0].Arn)
		assert.Equal(t, g.arn(eu, k.KeyId), *m.ReplicaKeys[1].Arn)
		assert.Equal(t, *k.CurrentKeyMaterialId, *g.describe(region, k.KeyId).CurrentKeyMaterialId)
	}

	// Independent: switched, described, tagged and given policies by itself.
	_, err = g.in(eu).DisableKey(ctx, &kms.DisableKeyInput{KeyId: k.KeyId})
	require.NoError(t, err)
	assert.Equal(t, types.KeyStateEnabled, g.describe(us, k.KeyId).KeyState)
	_, err = g.in(eu).EnableKey(ctx, &kms.EnableKeyInput{KeyId: k.KeyId})
	require.NoError(t, err)
	assert.Equal(t, "first", *g.describe(us, k.KeyId).Description)
	tags, err := g.in(us).ListResourceTags(ctx, &kms.ListResourceTagsInput{KeyId: k.KeyId})
	require.NoError(t, err)
	assert.Empty(t, tags.Tags)
	g.rotations(k.KeyId)
	g.honest(ctx)
	g.shutdown()
	witness(t, g.dir)
}

// rotations shows that a primary's rotations are its replicas' too.
func (g *globe) rotations(id *string) {
	t, ctx := g.t, g.t.Context()
	_, err := g.in(eu).RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: id})
	refused(t, err, "UnsupportedOperationException", g.arn(eu, id)+" is not a multi-region primary key.")
	first := *g.describe(us, id).CurrentKeyMaterialId
	_, err = g.in(us).RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: id})
	require.NoError(t, err)
	second := *g.describe(us, id).CurrentKeyMaterialId
	assert.NotEqual(t, first, second)
	assert.Equal(t, second, *g.describe(eu, id).CurrentKeyMaterialId)
	g.interchange(id, us, eu, ap)
	_, err = g.in(us).EnableKeyRotation(ctx, &kms.EnableKeyRotationInput{KeyId: id, RotationPeriodInDays: aws.Int32(90)})
	require.NoError(t, err)
	require.NoError(t, g.advance(ctx, 91*24*time.Hour))
	third := *g.describe(us, id).CurrentKeyMaterialId
	assert.NotEqual(t, second, third)
	assert.Equal(t, third, *g.describe(ap, id).CurrentKeyMaterialId)
	status, err := g.in(eu).GetKeyRotationStatus(ctx, &kms.GetKeyRotationStatusInput{KeyId: id})
	require.NoError(t, err)
	assert.True(t, status.KeyRotationEnabled)
	g.interchange(id, us, eu, ap)
	list, err := g.in(eu).ListKeyRotations(ctx, &kms.ListKeyRotationsInput{KeyId: id})
	require.NoError(t, err)
	assert.Len(t, list.Rotations, 2)
}

// Key pairs and HMAC keys are the same in both Regions.
func TestReplicasOfEveryType(t *testing.T) {
	t.Parallel()
	g, ctx := newGlobe(t), t.Context()
	both := func(in *kms.CreateKeyInput) *string {
		k := g.create(in)
		require.NoError(t, g.replicate(us, eu, k.KeyId), "%s", in.KeySpec)
		g.become(eu, k.KeyId, types.KeyStateEnabled)
		return k.KeyId
	}
	for _, spec := range []types.KeySpec{types.KeySpecRsa2048, types.KeySpecEccNistP256, types.KeySpecEccNistP384, types.KeySpecEccNistP521, types.KeySpecEccSecgP256k1} {
		id := both(&kms.CreateKeyInput{KeySpec: spec, KeyUsage: types.KeyUsageTypeSignVerify})
		here, err := g.in(us).GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: id})
		require.NoError(t, err)
		there, err := g.in(eu).GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: id})
		require.NoError(t, err)
		assert.Equal(t, here.PublicKey, there.PublicKey)
		alg := here.SigningAlgorithms[0]
		sig, err := g.in(eu).Sign(ctx, &kms.SignInput{KeyId: id, Message: []byte("m"), SigningAlgorithm: alg})
		require.NoError(t, err, "%s", spec)
		_, err = g.in(us).Verify(ctx, &kms.VerifyInput{KeyId: id, Message: []byte("m"), SigningAlgorithm: alg, Signature: sig.Signature})
		require.NoError(t, err)
		if spec == types.KeySpecRsa2048 {
			pub, err := x509.ParsePKIXPublicKey(here.PublicKey)
			require.NoError(t, err)
			sum := sha256.Sum256([]byte("m"))
			require.NoError(t, rsa.VerifyPKCS1v15(pub.(*rsa.PublicKey), crypto.SHA256, sum[:], sig.Signature))
		}
	}
	for spec, alg := range map[types.KeySpec]types.MacAlgorithmSpec{types.KeySpecHmac224: types.MacAlgorithmSpecHmacSha224,
		types.KeySpecHmac512: types.MacAlgorithmSpecHmacSha512} {
		id := both(&kms.CreateKeyInput{KeySpec: spec, KeyUsage: types.KeyUsageTypeGenerateVerifyMac})
		mac, err := g.in(us).GenerateMac(ctx, &kms.GenerateMacInput{KeyId: id, Message: []byte("m"), MacAlgorithm: alg})
		require.NoError(t, err)
		_, err = g.in(eu).VerifyMac(ctx, &kms.VerifyMacInput{KeyId: id, Message: []byte("m"), MacAlgorithm: alg, Mac: mac.Mac})
		require.NoError(t, err)
	}
	ed := g.create(&kms.CreateKeyInput{KeySpec: types.KeySpecEccNistEdwards25519, KeyUsage: types.KeyUsageTypeSignVerify})
	refused(t, g.replicate(us, eu, ed.KeyId), "UnsupportedOperationException",
		"Keys of spec ECC_NIST_EDWARDS25519 can't be replicated from the token of Region us-east-1 to that of Region eu-west-1.")
	g.honest(ctx)
	g.shutdown()
}

// The primary moves; a crash in the middle of either transition only makes it later.
func TestPrimaryMoves(t *testing.T) {
	t.Parallel()
	g, ctx := newGlobe(t), t.Context()
	k := g.create(&kms.CreateKeyInput{})
	_, err := g.in(us).EnableKeyRotation(ctx, &kms.EnableKeyRotationInput{KeyId: k.KeyId})
	require.NoError(t, err)
	move := func(from, to string) error {
		_, err := g.in(from).UpdatePrimaryRegion(ctx, &kms.UpdatePrimaryRegionInput{KeyId: k.KeyId, PrimaryRegion: &to})
		return err
	}
	refused(t, move(us, eu), "NotFoundException", "Key '"+g.arn(eu, k.KeyId)+"' does not exist")
	refused(t, move(us, us), "ValidationException", *k.Arn+" is the primary key in Region us-east-1 already.")
	g.hold(admin.PathHold)
	require.NoError(t, g.replicate(us, eu, k.KeyId))
	refused(t, move(us, eu), "KMSInvalidStateException", g.arn(eu, k.KeyId)+" is creating.")
	g.crash()
	g.start()
	g.become(eu, k.KeyId, types.KeyStateEnabled)
	refused(t, move(eu, us), "UnsupportedOperationException", g.arn(eu, k.KeyId)+" is not a multi-region primary key.")
	_, err = g.in(eu).DisableKey(ctx, &kms.DisableKeyInput{KeyId: k.KeyId})
	require.NoError(t, err)
	refused(t, move(us, eu), "DisabledException", g.arn(eu, k.KeyId)+" is disabled.")
	_, err = g.in(eu).EnableKey(ctx, &kms.EnableKeyInput{KeyId: k.KeyId})
	require.NoError(t, err)

	g.hold(admin.PathHold)
	require.NoError(t, move(us, eu))
	for _, region := range []string{us, eu} {
		arn := g.arn(region, k.KeyId)
		assert.Equal(t, types.KeyStateUpdating, g.describe(region, k.KeyId).KeyState)
		_, err := g.in(region).DisableKey(ctx, &kms.DisableKeyInput{KeyId: k.KeyId})
		refused(t, err, "KMSInvalidStateException", arn+" is updating.")
		_, err = g.in(region).ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: k.KeyId})
		refused(t, err, "KMSInvalidStateException", arn+" is updating.")
	}
	refused(t, g.replicate(us, ap, k.KeyId), "KMSInvalidStateException", *k.Arn+" is updating.")
	refused(t, move(us, eu), "KMSInvalidStateException", *k.Arn+" is updating.")
	g.interchange(k.KeyId, us, eu)
	g.crash()
	g.start()
	g.become(us, k.KeyId, types.KeyStateEnabled)
	g.become(eu, k.KeyId, types.KeyStateEnabled)
	assert.Equal(t, types.MultiRegionKeyTypeReplica, g.describe(us, k.KeyId).MultiRegionConfiguration.MultiRegionKeyType)
	assert.Equal(t, types.MultiRegionKeyTypePrimary, g.describe(eu, k.KeyId).MultiRegionConfiguration.MultiRegionKeyType)
	require.NoError(t, g.replicate(eu, ap, k.KeyId))
	g.become(ap, k.KeyId, types.KeyStateEnabled)
	g.interchange(k.KeyId, us, eu, ap)
	before := *g.describe(ap, k.KeyId).CurrentKeyMaterialId
	require.NoError(t, g.advance(ctx, 366*24*time.Hour))
	after := *g.describe(eu, k.KeyId).CurrentKeyMaterialId
	assert.NotEqual(t, before, after, "the schedule went with the primary")
	assert.Equal(t, after, *g.describe(us, k.KeyId).CurrentKeyMaterialId)
	g.honest(ctx)
	g.shutdown()
	witness(t, g.dir)
}

// A primary is deleted after its last replica, and waits for it.
func TestDeletionOfAFamily(t *testing.T) {
	t.Parallel()
	g, ctx := newGlobe(t), t.Context()
	k := g.create(&kms.CreateKeyInput{})
	require.NoError(t, g.replicate(us, eu, k.KeyId))
	g.become(eu, k.KeyId, types.KeyStateEnabled)
	schedule := func(region string) *kms.ScheduleKeyDeletionOutput {
		out, err := g.in(region).ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: k.KeyId, PendingWindowInDays: aws.Int32(7)})
		require.NoError(t, err)
		return out
	}
	out := schedule(us)
	assert.Equal(t, types.KeyStatePendingReplicaDeletion, out.KeyState)
	assert.Nil(t, out.DeletionDate)
	assert.EqualValues(t, 7, *g.describe(us, k.KeyId).PendingDeletionWindowInDays)
	refused(t, g.replicate(us, ap, k.KeyId), "KMSInvalidStateException", *k.Arn+" is pending replica deletion.")
	_, err := g.in(eu).Encrypt(ctx, &kms.EncryptInput{KeyId: k.KeyId, Plaintext: []byte("x")})
	require.NoError(t, err, "replicas go on")
	_, err = g.in(us).CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: k.KeyId})
	require.NoError(t, err)
	assert.Equal(t, types.KeyStateDisabled, g.describe(us, k.KeyId).KeyState)
	refused(t, g.replicate(us, ap, k.KeyId), "DisabledException", *k.Arn+" is disabled.")
	schedule(us)
	schedule(eu)
	refused(t, g.replicate(us, eu, k.KeyId), "KMSInvalidStateException", *k.Arn+" is pending replica deletion.")
	require.NoError(t, g.advance(ctx, 8*24*time.Hour))
	_, err = g.in(eu).DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: k.KeyId})
	refused(t, err, "NotFoundException", "Key '"+g.arn(eu, k.KeyId)+"' does not exist")
	now := g.describe(us, k.KeyId)
	assert.Equal(t, types.KeyStatePendingDeletion, now.KeyState)
	assert.NotNil(t, now.DeletionDate)
	assert.Empty(t, now.MultiRegionConfiguration.ReplicaKeys)
	require.NoError(t, g.advance(ctx, 8*24*time.Hour))
	_, err = g.in(us).DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: k.KeyId})
	refused(t, err, "NotFoundException", "Key '"+*k.Arn+"' does not exist")

	// A replica can be made again, also one whose deletion was over while it was Creating.
	k = g.create(&kms.CreateKeyInput{})
	g.hold(admin.PathHold)
	require.NoError(t, g.replicate(us, eu, k.KeyId))
	schedule(eu)
	g.hold(admin.PathRelease)
	assert.Equal(t, types.KeyStatePendingDeletion, g.describe(eu, k.KeyId).KeyState)
	_, err = g.in(eu).CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: k.KeyId})
	require.NoError(t, err)
	_, err = g.in(eu).EnableKey(ctx, &kms.EnableKeyInput{KeyId: k.KeyId})
	require.NoError(t, err)
	g.interchange(k.KeyId, us, eu)
	schedule(eu)
	require.NoError(t, g.advance(ctx, 8*24*time.Hour))
	require.NoError(t, g.replicate(us, eu, k.KeyId))
	g.become(eu, k.KeyId, types.KeyStateEnabled)
	g.interchange(k.KeyId, us, eu)
	g.honest(ctx)
	g.shutdown()
	witness(t, g.dir)
}

// Imported material comes to every Region from its owner.
func TestImportedFamily(t *testing.T) {
	t.Parallel()
	g, ctx := newGlobe(t), t.Context()
	k := g.create(&kms.CreateKeyInput{Origin: types.OriginTypeExternal})
	refused(t, g.replicate(us, eu, k.KeyId), "KMSInvalidStateException", *k.Arn+" is pending import.")
	one, two := make([]byte, 32), make([]byte, 32)
	_, _ = rand.Read(one)
	_, _ = rand.Read(two)
	load := func(region string, material []byte, kind types.ImportType) error {
		p, err := g.in(region).GetParametersForImport(ctx, &kms.GetParametersForImportInput{KeyId: k.KeyId,
			WrappingAlgorithm: types.AlgorithmSpecRsaesOaepSha256, WrappingKeySpec: types.WrappingKeySpecRsa2048})
		require.NoError(t, err)
		pub, err := x509.ParsePKIXPublicKey(p.PublicKey)
		require.NoError(t, err)
		wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, pub.(*rsa.PublicKey), material, nil)
		require.NoError(t, err)
		_, err = g.in(region).ImportKeyMaterial(ctx, &kms.ImportKeyMaterialInput{KeyId: k.KeyId, ImportToken: p.ImportToken, ImportType: kind,
			EncryptedKeyMaterial: wrapped, ExpirationModel: types.ExpirationModelTypeKeyMaterialDoesNotExpire})
		return err
	}
	role := func(region string) types.KeyMaterialState {
		out, err := g.in(region).ListKeyRotations(ctx, &kms.ListKeyRotationsInput{KeyId: k.KeyId, IncludeKeyMaterial: types.IncludeKeyMaterialAllKeyMaterial})
		require.NoError(t, err)
		return out.Rotations[len(out.Rotations)-1].KeyMaterialState
	}
	require.NoError(t, load(us, one, ""))
	require.NoError(t, g.replicate(us, eu, k.KeyId))
	g.become(eu, k.KeyId, types.KeyStatePendingImport)
	err := load(eu, two, "")
	refused(t, err, "IncorrectKeyMaterialException",
		"The key material in the request is not the key material that was imported into KMS key "+g.arn(eu, k.KeyId)+".")
	require.NoError(t, load(eu, one, ""))
	g.interchange(k.KeyId, us, eu)

	refused(t, load(eu, two, types.ImportTypeNewKeyMaterial), "UnsupportedOperationException",
		"New key material cannot be imported into the multi-Region replica key "+g.arn(eu, k.KeyId)+". Import it into the primary key first.")
	require.NoError(t, load(us, two, types.ImportTypeNewKeyMaterial))
	assert.Equal(t, types.KeyMaterialStatePendingMultiRegionImportAndRotation, role(us))
	assert.Equal(t, types.KeyMaterialStatePendingMultiRegionImportAndRotation, role(eu))
	_, err = g.in(us).RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: k.KeyId})
	refused(t, err, "KMSInvalidStateException", "No available key material pending rotation for the key: "+*k.Arn+".")
	require.NoError(t, load(eu, two, ""))
	assert.Equal(t, types.KeyMaterialStatePendingRotation, role(us))
	_, err = g.in(us).RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: k.KeyId})
	require.NoError(t, err)
	assert.Equal(t, types.KeyMaterialStateCurrent, role(eu))
	g.interchange(k.KeyId, us, eu)

	// The loss of material is each Region's own; that of waiting material on the primary is everybody's.
	_, err = g.in(eu).DeleteImportedKeyMaterial(ctx, &kms.DeleteImportedKeyMaterialInput{KeyId: k.KeyId})
	require.NoError(t, err)
	assert.Equal(t, types.KeyStatePendingImport, g.describe(eu, k.KeyId).KeyState)
	assert.Equal(t, types.KeyStateEnabled, g.describe(us, k.KeyId).KeyState)
	require.NoError(t, load(eu, two, ""))
	three := make([]byte, 32)
	_, _ = rand.Read(three)
	require.NoError(t, load(us, three, types.ImportTypeNewKeyMaterial))
	require.NoError(t, load(eu, three, ""))
	list, err := g.in(us).ListKeyRotations(ctx, &kms.ListKeyRotationsInput{KeyId: k.KeyId, IncludeKeyMaterial: types.IncludeKeyMaterialAllKeyMaterial})
	require.NoError(t, err)
	require.Len(t, list.Rotations, 3)
	waiting := list.Rotations[2].KeyMaterialId
	_, err = g.in(eu).DeleteImportedKeyMaterial(ctx, &kms.DeleteImportedKeyMaterialInput{KeyId: k.KeyId, KeyMaterialId: waiting})
	require.NoError(t, err)
	assert.Equal(t, types.KeyMaterialStatePendingMultiRegionImportAndRotation, role(us))
	require.NoError(t, load(eu, three, ""))
	_, err = g.in(us).DeleteImportedKeyMaterial(ctx, &kms.DeleteImportedKeyMaterialInput{KeyId: k.KeyId, KeyMaterialId: waiting})
	require.NoError(t, err)
	assert.Equal(t, types.KeyMaterialStateCurrent, role(eu))
	g.interchange(k.KeyId, us, eu)
	require.NoError(t, g.advance(ctx, 25*time.Hour), "which ends the wrapping keys of refused imports")
	g.honest(ctx)
	g.shutdown()
	witness(t, g.dir)
}
