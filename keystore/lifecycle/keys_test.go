package lifecycle_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/lifecycle"
)

func TestDescribeKeyTakesEveryForm(t *testing.T) {
	w := newWorld(t)
	k := w.create(lifecycle.CreateKeyInput{})
	require.NoError(t, w.CreateAlias(t.Context(), w.root, "alias/a", string(k.ID)))
	for _, form := range []string{string(k.ID), k.ARN(), "alias/a", keystore.AliasARN(region, account, "alias/a")} {
		v, err := w.DescribeKey(t.Context(), w.root, form, nil)
		require.NoError(t, err, form)
		assert.Equal(t, k.ID, v.Key.ID)
		assert.Equal(t, keystore.Enabled, v.State)
	}
	_, err := w.DescribeKey(t.Context(), w.root, absent, nil)
	faulty(t, err, keystore.KindNotFound, "Key '"+keystore.KeyARN(region, account, absent)+"' does not exist")
	_, err = w.DescribeKey(t.Context(), w.root, "alias/b", nil)
	faulty(t, err, keystore.KindNotFound, "Alias "+keystore.AliasARN(region, account, "alias/b")+" is not found.")
	_, err = w.DescribeKey(t.Context(), w.root, "nonsense", nil)
	faulty(t, err, keystore.KindNotFound, "Invalid keyId 'nonsense'")
}

func TestListKeysPages(t *testing.T) {
	w := newWorld(t)
	want := map[keystore.KeyID]bool{}
	for range 7 {
		want[w.create(lifecycle.CreateKeyInput{}).ID] = true
	}
	got := map[keystore.KeyID]bool{}
	marker, pages := "", 0
	for {
		ids, next, err := w.ListKeys(t.Context(), w.root, keystore.Page{Limit: 3, Marker: marker})
		require.NoError(t, err)
		pages++
		for _, id := range ids {
			got[id] = true
		}
		if marker = next; next == "" {
			break
		}
	}
	assert.Equal(t, 3, pages)
	assert.Equal(t, want, got)
	_, _, err := w.ListKeys(t.Context(), w.root, keystore.Page{Marker: "!"})
	faulty(t, err, keystore.KindInvalidMarker, "*")
	_, _, err = w.ListKeys(t.Context(), w.root, keystore.Page{Marker: keystore.NextMarker("aliases/", "x")})
	faulty(t, err, keystore.KindInvalidMarker, "*")
}

func TestEnableAndDisable(t *testing.T) {
	w := newWorld(t)
	k := w.create(lifecycle.CreateKeyInput{})
	state := func() keystore.State {
		v, err := w.DescribeKey(t.Context(), w.root, string(k.ID), nil)
		require.NoError(t, err)
		return v.State
	}
	for _, s := range []struct {
		turn func() error
		want keystore.State
	}{
		{func() error { return w.DisableKey(t.Context(), w.root, string(k.ID)) }, keystore.Disabled},
		{func() error { return w.DisableKey(t.Context(), w.root, k.ARN()) }, keystore.Disabled},
		{func() error { return w.EnableKey(t.Context(), w.root, string(k.ID)) }, keystore.Enabled},
		{func() error { return w.EnableKey(t.Context(), w.root, string(k.ID)) }, keystore.Enabled},
	} {
		require.NoError(t, s.turn())
		assert.Equal(t, s.want, state())
	}
	faulty(t, w.DisableKey(t.Context(), w.root, "alias/a"), keystore.KindNotFound, "Invalid keyId 'alias/a'")
	w.doom(k)
	faulty(t, w.DisableKey(t.Context(), w.root, string(k.ID)), keystore.KindInvalidState, k.ARN()+" is pending deletion.")
}

func TestUnavailableShowsWhatWasTurnedMeanwhile(t *testing.T) {
	w := newWorld(t)
	id, _ := w.store("one")
	k := w.inStore(id)
	state := func() keystore.State {
		v, err := w.DescribeKey(t.Context(), w.root, string(k.ID), nil)
		require.NoError(t, err)
		return v.State
	}
	w.stores.turn(id, keystore.Disconnected)
	assert.Equal(t, keystore.Unavailable, state())
	require.NoError(t, w.DisableKey(t.Context(), w.root, string(k.ID)))
	assert.Equal(t, keystore.Unavailable, state())
	w.stores.turn(id, keystore.Connected)
	assert.Equal(t, keystore.Disabled, state())

	w.stores.turn(id, keystore.Disconnected)
	_, err := w.ScheduleKeyDeletion(t.Context(), w.root, string(k.ID), 7)
	require.NoError(t, err)
	assert.Equal(t, keystore.PendingDeletion, state(), "pending deletion wins")
	_, err = w.CancelKeyDeletion(t.Context(), w.root, string(k.ID))
	require.NoError(t, err)
	assert.Equal(t, keystore.Unavailable, state())
	w.stores.turn(id, keystore.Connected)
	assert.Equal(t, keystore.Disabled, state())
}

func TestUpdateKeyDescription(t *testing.T) {
	w := newWorld(t)
	k := w.create(lifecycle.CreateKeyInput{Description: "one"})
	for _, text := range []string{"two", "two", ""} {
		require.NoError(t, w.UpdateKeyDescription(t.Context(), w.root, string(k.ID), text))
		v, err := w.DescribeKey(t.Context(), w.root, string(k.ID), nil)
		require.NoError(t, err)
		assert.Equal(t, text, v.Key.Description)
	}
}

func TestScheduleAndCancel(t *testing.T) {
	w := newWorld(t)
	k := w.create(lifecycle.CreateKeyInput{})
	id := string(k.ID)
	_, err := w.CancelKeyDeletion(t.Context(), w.root, id)
	faulty(t, err, keystore.KindInvalidState, k.ARN()+" is not pending deletion.")
	for _, days := range []int{-1, 1, 6, 31, 365} {
		_, err := w.ScheduleKeyDeletion(t.Context(), w.root, id, days)
		faulty(t, err, keystore.KindValidation, "*")
	}
	v, err := w.ScheduleKeyDeletion(t.Context(), w.root, id, 0)
	require.NoError(t, err)
	assert.Equal(t, keystore.PendingDeletion, v.State)
	assert.Equal(t, 30, v.Key.WindowDays)
	assert.Equal(t, w.clock.Now().Add(30*24*time.Hour), v.Key.DeletionDate)
	assert.Equal(t, w.clock.Now(), v.Key.ScheduledAt)
	assert.Equal(t, w.root.Principal, v.Key.ScheduledBy)
	_, err = w.ScheduleKeyDeletion(t.Context(), w.root, id, 7)
	faulty(t, err, keystore.KindInvalidState, k.ARN()+" is pending deletion.")

	w.clock.advance(29 * 24 * time.Hour)
	w.sweep()
	arn, err := w.CancelKeyDeletion(t.Context(), w.root, id)
	require.NoError(t, err)
	assert.Equal(t, k.ARN(), arn)
	v, err = w.DescribeKey(t.Context(), w.root, id, nil)
	require.NoError(t, err)
	assert.Equal(t, keystore.Disabled, v.State, "never Enabled")
	assert.Zero(t, v.Key.DeletionDate)
	assert.Zero(t, v.Key.WindowDays)
	w.clock.advance(60 * 24 * time.Hour)
	assert.Equal(t, lifecycle.SweepReport{}, w.sweep())
}

func TestAliases(t *testing.T) {
	w := newWorld(t, func(c *lifecycle.Config) { c.Limits.Aliases = 3 })
	a, b := w.create(lifecycle.CreateKeyInput{}), w.create(lifecycle.CreateKeyInput{})
	ctx := t.Context()
	require.NoError(t, w.CreateAlias(ctx, w.root, "alias/x", a.ARN()))
	faulty(t, w.CreateAlias(ctx, w.root, "alias/x", string(b.ID)), keystore.KindAlreadyExists,
		"An alias with the name "+keystore.AliasARN(region, account, "alias/x")+" already exists")
	list, _, err := w.ListAliases(ctx, w.root, string(a.ID), keystore.Page{})
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, a.ID, list[0].Target, "the bare id is stored")
	created := list[0].Created

	w.clock.advance(time.Hour)
	require.NoError(t, w.UpdateAlias(ctx, w.root, "alias/x", string(b.ID)))
	list, _, err = w.ListAliases(ctx, w.root, "", keystore.Page{})
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, b.ID, list[0].Target)
	assert.Equal(t, created, list[0].Created)
	assert.Equal(t, w.clock.Now(), list[0].Updated)

	require.NoError(t, w.CreateAlias(ctx, w.root, "alias/y", string(b.ID)))
	require.NoError(t, w.CreateAlias(ctx, w.root, "alias/z", string(b.ID)))
	faulty(t, w.CreateAlias(ctx, w.root, "alias/more", string(b.ID)), keystore.KindLimitExceeded, "*")
	require.NoError(t, w.UpdateAlias(ctx, w.root, "alias/z", string(b.ID)), "to the same key is no more of them")

	first, next, err := w.ListAliases(ctx, w.root, string(b.ID), keystore.Page{Limit: 2})
	require.NoError(t, err)
	require.Len(t, first, 2)
	rest, end, err := w.ListAliases(ctx, w.root, string(b.ID), keystore.Page{Limit: 2, Marker: next})
	require.NoError(t, err)
	require.Len(t, rest, 1)
	assert.Empty(t, end)
	assert.Equal(t, []string{"alias/x", "alias/y", "alias/z"}, []string{first[0].Name, first[1].Name, rest[0].Name})
	_, _, err = w.ListAliases(ctx, w.root, string(a.ID), keystore.Page{Marker: next})
	faulty(t, err, keystore.KindInvalidMarker, "*")

	require.NoError(t, w.DeleteAlias(ctx, w.root, "alias/x"))
	faulty(t, w.DeleteAlias(ctx, w.root, "alias/x"), keystore.KindNotFound,
		"Alias "+keystore.AliasARN(region, account, "alias/x")+" is not found.")
	faulty(t, w.UpdateAlias(ctx, w.root, "alias/x", string(a.ID)), keystore.KindNotFound, "*")
}

func TestAliasNames(t *testing.T) {
	w := newWorld(t)
	k := w.create(lifecycle.CreateKeyInput{})
	for name, c := range map[string]struct {
		kind keystore.Kind
		text string
	}{
		"x":            {keystore.KindValidation, `Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html`},
		"alias/aws/s3": {keystore.KindNotAuthorized, ""},
		"alias/":       {keystore.KindValidation, "*"},
		"alias/a:b":    {keystore.KindValidation, "alias/a:b contains invalid characters for an alias"},
		"alias/ä":      {keystore.KindValidation, "*"},
	} {
		faulty(t, w.CreateAlias(t.Context(), w.root, name, string(k.ID)), c.kind, c.text)
		faulty(t, w.UpdateAlias(t.Context(), w.root, name, string(k.ID)), c.kind, c.text)
		faulty(t, w.DeleteAlias(t.Context(), w.root, name), c.kind, c.text)
	}
	faulty(t, w.CreateAlias(t.Context(), w.root, "alias/a", "alias/b"), keystore.KindValidation, "Aliases must refer to keys. Not aliases")
	faulty(t, w.CreateAlias(t.Context(), w.root, "alias/a", absent), keystore.KindNotFound, "*")
}

func TestAliasesAndKeysPendingDeletion(t *testing.T) {
	w := newWorld(t)
	a, b := w.create(lifecycle.CreateKeyInput{}), w.create(lifecycle.CreateKeyInput{})
	ctx := t.Context()
	require.NoError(t, w.CreateAlias(ctx, w.root, "alias/x", string(a.ID)))
	require.NoError(t, w.CreateAlias(ctx, w.root, "alias/y", string(a.ID)))
	require.NoError(t, w.CreateAlias(ctx, w.root, "alias/b", string(b.ID)))
	w.doom(a)
	pending := a.ARN() + " is pending deletion."
	faulty(t, w.CreateAlias(ctx, w.root, "alias/z", string(a.ID)), keystore.KindInvalidState, pending)
	faulty(t, w.UpdateAlias(ctx, w.root, "alias/b", string(a.ID)), keystore.KindInvalidState, pending)
	require.NoError(t, w.UpdateAlias(ctx, w.root, "alias/x", string(b.ID)), "away from it is allowed")
	require.NoError(t, w.DeleteAlias(ctx, w.root, "alias/y"))
}

func TestUpdateAliasKeepsTypeAndUsage(t *testing.T) {
	w := newWorld(t)
	k := w.create(lifecycle.CreateKeyInput{})
	other := func(n int, spec keystore.Spec, usage keystore.Usage) *keystore.Key {
		id := keystore.KeyID(fmt.Sprintf("00000000-0000-4000-8000-%012d", n))
		o := k.Clone()
		o.ID, o.Spec, o.Usage, o.Materials, o.Revision = id, spec, usage, nil, 0
		require.NoError(t, w.db.Update(t.Context(), func(tx keystore.Tx) error { return tx.InsertKey(o) }))
		return o
	}
	arn := keystore.AliasARN(region, account, "alias/x")
	require.NoError(t, w.CreateAlias(t.Context(), w.root, "alias/x", string(k.ID)))
	sign := other(1, keystore.RSA2048, keystore.UsageSignVerify)
	faulty(t, w.UpdateAlias(t.Context(), w.root, "alias/x", string(sign.ID)), keystore.KindValidation,
		"Alias "+arn+" cannot be changed from a CMK with key usage ENCRYPT_DECRYPT to a CMK with key usage SIGN_VERIFY")
	rsa := other(2, keystore.RSA2048, keystore.UsageEncryptDecrypt)
	faulty(t, w.UpdateAlias(t.Context(), w.root, "alias/x", string(rsa.ID)), keystore.KindValidation, "*")
}

func TestTags(t *testing.T) {
	w := newWorld(t, func(c *lifecycle.Config) { c.Limits.Tags = 3 })
	k := w.create(lifecycle.CreateKeyInput{Tags: []keystore.Tag{{Key: "b", Value: "1"}}})
	ctx, id := t.Context(), string(k.ID)
	require.NoError(t, w.TagResource(ctx, w.root, id, []keystore.Tag{{Key: "c", Value: "2"}, {Key: "a", Value: ""}, {Key: "b", Value: "3"}}))
	tags, next, err := w.ListResourceTags(ctx, w.root, id, keystore.Page{Limit: 2})
	require.NoError(t, err)
	assert.Equal(t, []keystore.Tag{{Key: "a", Value: ""}, {Key: "b", Value: "3"}}, tags)
	tags, next, err = w.ListResourceTags(ctx, w.root, id, keystore.Page{Limit: 2, Marker: next})
	require.NoError(t, err)
	assert.Equal(t, []keystore.Tag{{Key: "c", Value: "2"}}, tags)
	assert.Empty(t, next)
	faulty(t, w.TagResource(ctx, w.root, id, []keystore.Tag{{Key: "d"}}), keystore.KindTag, "Too many tags")
	faulty(t, w.TagResource(ctx, w.root, id, []keystore.Tag{{Key: "aws:d"}}), keystore.KindTag, "*")
	faulty(t, w.UntagResource(ctx, w.root, id, []string{"aws:d"}), keystore.KindTag, "*")
	require.NoError(t, w.UntagResource(ctx, w.root, id, []string{"a", "zzz"}))
	require.NoError(t, w.UntagResource(ctx, w.root, id, []string{"zzz"}))
	tags, _, err = w.ListResourceTags(ctx, w.root, id, keystore.Page{})
	require.NoError(t, err)
	assert.Equal(t, []keystore.Tag{{Key: "b", Value: "3"}, {Key: "c", Value: "2"}}, tags)
	w.doom(k)
	faulty(t, w.TagResource(ctx, w.root, id, []keystore.Tag{{Key: "b"}}), keystore.KindInvalidState, "*")
	faulty(t, w.UntagResource(ctx, w.root, id, []string{"b"}), keystore.KindInvalidState, "*")
	_, _, err = w.ListResourceTags(ctx, w.root, id, keystore.Page{})
	require.NoError(t, err)
}

func TestPolicies(t *testing.T) {
	w := newWorld(t)
	k := w.create(lifecycle.CreateKeyInput{})
	ctx, id := t.Context(), string(k.ID)
	alice := w.user("alice")
	text, name, err := w.GetKeyPolicy(ctx, w.root, id, "")
	require.NoError(t, err)
	assert.Equal(t, "default", name)
	assert.Equal(t, k.Policy, text)
	_, _, err = w.GetKeyPolicy(ctx, w.root, id, "other")
	faulty(t, err, keystore.KindNotFound, "No such policy exists")
	put := func(in lifecycle.PutKeyPolicyInput) error { return w.PutKeyPolicy(ctx, w.root, &in) }
	faulty(t, put(lifecycle.PutKeyPolicyInput{KeyID: id, PolicyName: "other", Policy: "{}"}), keystore.KindUnsupportedOperation,
		"Only default policy is supported")
	faulty(t, put(lifecycle.PutKeyPolicyInput{KeyID: id}), keystore.KindValidation, "*")
	aliceOnly := policy("user/alice", "kms:*")
	faulty(t, put(lifecycle.PutKeyPolicyInput{KeyID: id, Policy: aliceOnly}), keystore.KindMalformedPolicyDocument,
		"The new key policy will not allow you to update the key policy in the future.")
	require.NoError(t, put(lifecycle.PutKeyPolicyInput{KeyID: id, Policy: aliceOnly, BypassPolicyLockoutSafetyCheck: true}))
	text, _, err = w.GetKeyPolicy(ctx, alice, id, "default")
	require.NoError(t, err)
	assert.Equal(t, aliceOnly, text)
	names, next, err := w.ListKeyPolicies(ctx, alice, id, keystore.Page{Limit: 1})
	require.NoError(t, err)
	assert.Equal(t, []string{"default"}, names)
	assert.Empty(t, next)
	bob := w.user("bob")
	_, _, err = w.GetKeyPolicy(ctx, bob, id, "")
	faulty(t, err, keystore.KindAccessDenied, "*")
	_, err = w.ScheduleKeyDeletion(ctx, alice, id, 7)
	require.NoError(t, err)
	require.NoError(t, w.PutKeyPolicy(ctx, alice, &lifecycle.PutKeyPolicyInput{KeyID: id, Policy: policy("user/alice", "kms:Put*")}),
		"works in every state")
}
