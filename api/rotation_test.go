package api_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
)

const day = 24 * time.Hour

// rotate lets everything rotate that is due, and gives the number of keys.
func (a *appliance) rotate(t *testing.T) int {
	t.Helper()
	n, err := a.rotator.RotateOnce(t.Context(), a.clock.Now())
	require.NoError(t, err)
	return n
}

func (u *user) rotations(t *testing.T, key *string, include types.IncludeKeyMaterial) []types.RotationsListEntry {
	t.Helper()
	out, err := u.ListKeyRotations(t.Context(), &kms.ListKeyRotationsInput{KeyId: key, IncludeKeyMaterial: include})
	require.NoError(t, err)
	return out.Rotations
}

func TestRotationByTheCalendar(t *testing.T) {
	a := start(t)
	root := a.rootUser()
	k := root.newKey(t, "")
	status := func() *kms.GetKeyRotationStatusOutput {
		t.Helper()
		out, err := root.GetKeyRotationStatus(t.Context(), &kms.GetKeyRotationStatusInput{KeyId: k.Arn})
		require.NoError(t, err)
		assert.Equal(t, *k.KeyId, *out.KeyId)
		assert.Nil(t, out.OnDemandRotationStartDate)
		return out
	}
	st := status()
	assert.False(t, st.KeyRotationEnabled)
	assert.Nil(t, st.RotationPeriodInDays)
	assert.Nil(t, st.NextRotationDate)

	enabled := time.Now()
	_, err := root.EnableKeyRotation(t.Context(), &kms.EnableKeyRotationInput{KeyId: k.KeyId})
	require.NoError(t, err)
	assert.Equal(t, int32(365), *status().RotationPeriodInDays)
	_, err = root.EnableKeyRotation(t.Context(), &kms.EnableKeyRotationInput{KeyId: k.KeyId, RotationPeriodInDays: aws.Int32(90)})
	require.NoError(t, err)
	st = status()
	assert.True(t, st.KeyRotationEnabled)
	assert.Equal(t, int32(90), *st.RotationPeriodInDays)
	due := *st.NextRotationDate
	between(t, due, enabled, 90*day)
	first := *k.CurrentKeyMaterialId

	// On time, and a little late: the dates keep their distance from the first one.
	a.clock.advance(90*day + time.Second)
	assert.Equal(t, 1, a.rotate(t))
	assert.Zero(t, a.rotate(t))
	assert.Equal(t, due.Add(90*day), *status().NextRotationDate)
	a.clock.advance(90*day + 12*time.Hour)
	assert.Equal(t, 1, a.rotate(t))
	assert.Equal(t, due.Add(180*day), *status().NextRotationDate)
	// Long after several dates: once, and the next date is one period on.
	a.clock.advance(400 * day)
	before := time.Now()
	assert.Equal(t, 1, a.rotate(t))
	between(t, *status().NextRotationDate, before, a.clock.moved()+90*day)

	list := root.rotations(t, k.KeyId, "")
	require.Len(t, list, 3)
	for i, r := range list {
		assert.Equal(t, *k.KeyId, *r.KeyId)
		assert.Equal(t, types.RotationTypeAutomatic, r.RotationType)
		assert.NotNil(t, r.RotationDate)
		want := types.KeyMaterialStateNonCurrent
		if i == 2 {
			want = types.KeyMaterialStateCurrent
		}
		assert.Equal(t, want, r.KeyMaterialState)
	}
	all := root.rotations(t, k.KeyId, types.IncludeKeyMaterialAllKeyMaterial)
	require.Len(t, all, 4)
	assert.Equal(t, types.RotationsListEntry{KeyId: k.KeyId, KeyMaterialId: &first, KeyMaterialState: types.KeyMaterialStateNonCurrent}, all[0])
	described, err := root.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: k.KeyId})
	require.NoError(t, err)
	assert.Equal(t, *list[2].KeyMaterialId, *described.KeyMetadata.CurrentKeyMaterialId)

	_, err = root.DisableKeyRotation(t.Context(), &kms.DisableKeyRotationInput{KeyId: k.KeyId})
	require.NoError(t, err)
	_, err = root.DisableKeyRotation(t.Context(), &kms.DisableKeyRotationInput{KeyId: k.KeyId})
	require.NoError(t, err, "it may be said twice")
	assert.False(t, status().KeyRotationEnabled)
	a.clock.advance(400 * day)
	assert.Zero(t, a.rotate(t))
}

func TestCiphertextsOutliveManyRotations(t *testing.T) {
	a := start(t)
	root := a.rootUser()
	k := root.newKey(t, "")
	_, err := root.EnableKeyRotation(t.Context(), &kms.EnableKeyRotationInput{KeyId: k.KeyId, RotationPeriodInDays: aws.Int32(90)})
	require.NoError(t, err)
	type sealed struct {
		blob     []byte
		material string
	}
	var all []sealed
	for i := range 20 {
		out, err := root.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: k.KeyId, KeySpec: types.DataKeySpecAes256})
		require.NoError(t, err)
		all = append(all, sealed{out.CiphertextBlob, *out.KeyMaterialId})
		if i%2 == 0 {
			rotated, err := root.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: k.Arn})
			require.NoError(t, err)
			assert.Equal(t, *k.KeyId, *rotated.KeyId)
			continue
		}
		a.clock.advance(90 * day)
		require.Equal(t, 1, a.rotate(t))
	}
	materials := map[string]bool{}
	for _, s := range all {
		out, err := root.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: s.blob})
		require.NoError(t, err)
		assert.Equal(t, s.material, *out.KeyMaterialId)
		materials[s.material] = true
	}
	assert.Len(t, materials, 20)
	re, err := root.ReEncrypt(t.Context(), &kms.ReEncryptInput{CiphertextBlob: all[0].blob, DestinationKeyId: k.KeyId})
	require.NoError(t, err)
	assert.Equal(t, all[0].material, *re.SourceKeyMaterialId)
	list := root.rotations(t, k.KeyId, "")
	require.Len(t, list, 20)
	assert.Equal(t, *list[19].KeyMaterialId, *re.DestinationKeyMaterialId, "the current one")
	assert.Equal(t, types.RotationTypeOnDemand, list[0].RotationType)
	assert.Equal(t, types.RotationTypeAutomatic, list[1].RotationType)

	pages := kms.NewListKeyRotationsPaginator(root, &kms.ListKeyRotationsInput{KeyId: k.KeyId, Limit: aws.Int32(7)})
	var paged []types.RotationsListEntry
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		require.NoError(t, err)
		paged = append(paged, page.Rotations...)
	}
	assert.Equal(t, list, paged)

	record := a.lastRecord(t, "RotateKeyOnDemand")
	assert.Equal(t, map[string]any{"keyId": *k.KeyId}, record["responseElements"])
	events := 0
	for _, r := range a.records(t) {
		if r["eventType"] == "AwsServiceEvent" && r["eventName"] == "RotateKey" {
			events++
		}
	}
	assert.Equal(t, 20, events)
}

func TestRotationOnDemandHasALimit(t *testing.T) {
	a := start(t)
	root := a.rootUser()
	k := root.newKey(t, "")
	for range 25 {
		_, err := root.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: k.KeyId})
		require.NoError(t, err)
	}
	_, err := root.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: k.KeyId})
	isException(t, err, "LimitExceededException", "The on-demand rotations limit has been reached for the given keyId. "+
		"No more on-demand rotations can be performed for this key: "+*k.Arn)

	other := root.newKey(t, "")
	_, err = root.EnableKeyRotation(t.Context(), &kms.EnableKeyRotationInput{KeyId: other.KeyId, RotationPeriodInDays: aws.Int32(90)})
	require.NoError(t, err)
	a.clock.advance(90*day - 19*time.Minute)
	_, err = root.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: other.KeyId})
	isException(t, err, "ConflictException", "*")
}

func TestRotationInStates(t *testing.T) {
	a := start(t)
	root := a.rootUser()
	k := root.newKey(t, "")
	id := *k.KeyId
	_, err := root.EnableKeyRotation(t.Context(), &kms.EnableKeyRotationInput{KeyId: &id, RotationPeriodInDays: aws.Int32(90)})
	require.NoError(t, err)
	refused := func(exception, message string) {
		t.Helper()
		for _, op := range []string{"EnableKeyRotation", "DisableKeyRotation", "RotateKeyOnDemand"} {
			name, text := exceptionOf(t, a.post(t, op, `{"KeyId":"`+id+`"}`))
			agrees(t, name, text, exception, message)
		}
		assert.Equal(t, 200, a.post(t, "ListKeyRotations", `{"KeyId":"`+id+`"}`).status)
	}
	_, err = root.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &id})
	require.NoError(t, err)
	refused("DisabledException", *k.Arn+" is disabled.")
	a.clock.advance(100 * day)
	assert.Zero(t, a.rotate(t), "a disabled key keeps its setting and does not rotate")
	assert.Contains(t, a.post(t, "GetKeyRotationStatus", `{"KeyId":"`+id+`"}`).body, `"KeyRotationEnabled":true`)
	_, err = root.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: &id})
	require.NoError(t, err)
	assert.Equal(t, 1, a.rotate(t), "at once, for it is overdue")

	_, err = root.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: &id})
	require.NoError(t, err)
	refused("KMSInvalidStateException", *k.Arn+" is pending deletion.")
	assert.Equal(t, `{"KeyRotationEnabled":false,"KeyId":"`+id+`"}`, a.post(t, "GetKeyRotationStatus", `{"KeyId":"`+id+`"}`).body)
	_, err = root.CancelKeyDeletion(t.Context(), &kms.CancelKeyDeletionInput{KeyId: &id})
	require.NoError(t, err)
	assert.Contains(t, a.post(t, "GetKeyRotationStatus", `{"KeyId":"`+id+`"}`).body, `"KeyRotationEnabled":true`)
}

// The Terraform provider asks for the rotation of every key whose origin is AWS_KMS, whatever its spec, and fails on an error.
func TestRotationStatusOfKeysThatCannotRotate(t *testing.T) {
	a := start(t)
	root := a.rootUser()
	for name, in := range map[string]kms.CreateKeyInput{
		"signing":   {KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify},
		"HMAC":      {KeySpec: types.KeySpecHmac256, KeyUsage: types.KeyUsageTypeGenerateVerifyMac},
		"agreement": {KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeKeyAgreement},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := root.CreateKey(t.Context(), &in)
			require.NoError(t, err)
			id := *out.KeyMetadata.KeyId
			assert.Equal(t, `{"KeyRotationEnabled":false,"KeyId":"`+id+`"}`, a.post(t, "GetKeyRotationStatus", `{"KeyId":"`+id+`"}`).body)
			_, err = root.EnableKeyRotation(t.Context(), &kms.EnableKeyRotationInput{KeyId: &id})
			var refused *types.UnsupportedOperationException
			require.ErrorAs(t, err, &refused)
		})
	}
	external, err := root.CreateKey(t.Context(), &kms.CreateKeyInput{Origin: types.OriginTypeExternal})
	require.NoError(t, err)
	_, err = root.GetKeyRotationStatus(t.Context(), &kms.GetKeyRotationStatusInput{KeyId: external.KeyMetadata.KeyId})
	var refused *types.UnsupportedOperationException
	require.ErrorAs(t, err, &refused)
}

func TestBadRotationRequests(t *testing.T) {
	a := start(t)
	root := a.rootUser()
	k := root.newKey(t, "")
	id := *k.KeyId
	gone := "00000000-0000-4000-8000-000000000000"
	one := func(text string) string { return "1 validation error detected: " + text }
	for name, c := range map[string]struct{ operation, body, exception, message string }{
		"89 days":         {"EnableKeyRotation", `{"KeyId":"` + id + `","RotationPeriodInDays":89}`, "ValidationException", one("Value '89' at 'rotationPeriodInDays' failed to satisfy constraint: Member must have value greater than or equal to 90")},
		"0 days":          {"EnableKeyRotation", `{"KeyId":"` + id + `","RotationPeriodInDays":0}`, "ValidationException", one("Value '0' at 'rotationPeriodInDays' failed to satisfy constraint: Member must have value greater than or equal to 90")},
		"2561 days":       {"EnableKeyRotation", `{"KeyId":"` + id + `","RotationPeriodInDays":2561}`, "ValidationException", one("Value '2561' at 'rotationPeriodInDays' failed to satisfy constraint: Member must have value less than or equal to 2560")},
		"a text of days":  {"EnableKeyRotation", `{"KeyId":"` + id + `","RotationPeriodInDays":"90"}`, "SerializationException", "*"},
		"no key":          {"EnableKeyRotation", `{}`, "ValidationException", one("Value null at 'keyId' failed to satisfy constraint: Member must not be null")},
		"not a key":       {"DisableKeyRotation", `{"KeyId":"x"}`, "NotFoundException", "Invalid keyId 'x'"},
		"no such key":     {"RotateKeyOnDemand", `{"KeyId":"` + gone + `"}`, "NotFoundException", "Key '" + keystore.KeyARN(region, account, keystore.KeyID(gone)) + "' does not exist"},
		"another Region":  {"GetKeyRotationStatus", `{"KeyId":"arn:aws:kms:eu-west-1:` + account + `:key/` + id + `"}`, "NotFoundException", "Invalid arn eu-west-1"},
		"unknown include": {"ListKeyRotations", `{"KeyId":"` + id + `","IncludeKeyMaterial":"SOME"}`, "ValidationException", "*"},
		"bad marker":      {"ListKeyRotations", `{"KeyId":"` + id + `","Marker":"x"}`, "InvalidMarkerException", ""},
		"limit 0":         {"ListKeyRotations", `{"KeyId":"` + id + `","Limit":0}`, "ValidationException", one("Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1")},
	} {
		t.Run(name, func(t *testing.T) {
			got := a.post(t, c.operation, c.body)
			assert.Equal(t, 400, got.status)
			exception, message := exceptionOf(t, got)
			agrees(t, exception, message, c.exception, c.message)
		})
	}
	u := a.user(t, "nobody")
	_, err := u.EnableKeyRotation(t.Context(), &kms.EnableKeyRotationInput{KeyId: &id})
	denied(t, err, u, "EnableKeyRotation", *k.Arn)
	_, err = u.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: &id})
	denied(t, err, u, "RotateKeyOnDemand", *k.Arn)
	assert.Empty(t, root.rotations(t, &id, ""))
}
