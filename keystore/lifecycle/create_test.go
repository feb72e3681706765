package lifecycle_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/backend/backendtest"
	"github.com/strongroom/strongroom/keystore/lifecycle"
)

func TestCreateKeyMakesAKeyAndItsMaterial(t *testing.T) {
	w := newWorld(t)
	v, err := w.CreateKey(t.Context(), w.root, &lifecycle.CreateKeyInput{
		Description: "orders", Tags: []keystore.Tag{{Key: "b", Value: "2"}, {Key: "a", Value: "1"}},
	})
	require.NoError(t, err)
	k := v.Key
	assert.Equal(t, keystore.Enabled, v.State)
	assert.True(t, k.ID.Valid() && !k.ID.MultiRegion())
	assert.Equal(t, keystore.OriginKMS, k.Origin)
	assert.Equal(t, keystore.SymmetricDefault, k.Spec)
	assert.Equal(t, keystore.UsageEncryptDecrypt, k.Usage)
	assert.Equal(t, []keystore.Tag{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}}, k.Tags)
	assert.Equal(t, access.DefaultPolicy(account), k.Policy)
	stored, err := w.DescribeKey(t.Context(), w.root, string(k.ID), nil)
	require.NoError(t, err)
	assert.Equal(t, k, stored.Key, "what is answered is what is stored")

	objects := w.token.List()
	require.Len(t, objects, 1)
	row := w.row(k.ARN())
	assert.Equal(t, k.ARN(), objects[0].Label)
	assert.Equal(t, k.Current().ID[:], objects[0].ID)
	assert.Equal(t, keystore.MaterialLive, row.State)
	assert.Equal(t, keystore.MaterialOnToken, row.Kind)
	assert.Equal(t, w.token.Identity(), row.Token)
	assert.Equal(t, []string{"CKO_SECRET_KEY"}, row.Classes)
	assert.Equal(t, "CKK_AES", row.KeyType)
	assert.Equal(t, objects[0].CheckValue, row.CheckValue)
	assert.Equal(t, k.Created, row.KeyCreated)
}

func TestCreateKeyInACustomKeyStore(t *testing.T) {
	w := newWorld(t)
	id, token := w.store("one")
	k := w.inStore(id)
	assert.Equal(t, keystore.OriginCloudHSM, k.Origin)
	assert.Equal(t, id, k.StoreID)
	assert.Equal(t, "cluster-one", k.ClusterID)
	assert.False(t, k.ShowsMaterialID())
	assert.Len(t, token.List(), 1)
	assert.Empty(t, w.token.List())
	row := w.row(k.ARN())
	assert.Equal(t, id, row.StoreID)
	assert.Equal(t, "cluster-one", row.ClusterID)
	assert.Equal(t, "one", row.Token.Serial)
}

func TestCreateKeyMultiRegionIsAPrimary(t *testing.T) {
	w := newWorld(t)
	k := w.create(lifecycle.CreateKeyInput{MultiRegion: true})
	assert.True(t, k.ID.Valid() && k.ID.MultiRegion(), k.ID)
	assert.Equal(t, &keystore.MultiRegion{Primary: true, PrimaryRegion: region}, k.MultiRegion)
}

func TestCreateKeyRefuses(t *testing.T) {
	w := newWorld(t)
	store, _ := w.store("one")
	away, _ := w.store("two")
	w.stores.turn(away, keystore.Disconnected)
	many := make([]keystore.Tag, 51)
	for i := range many {
		many[i].Key = fmt.Sprint("k", i)
	}
	type input = lifecycle.CreateKeyInput
	for name, c := range map[string]struct {
		in   input
		kind keystore.Kind
		text string
	}{
		"both spec names": {input{KeySpec: "SYMMETRIC_DEFAULT", CustomerMasterKeySpec: "SYMMETRIC_DEFAULT"}, keystore.KindValidation,
			"You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated."},
		"no usage": {input{KeySpec: "RSA_2048"}, keystore.KindValidation,
			"You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."},
		"no usage, HMAC": {input{KeySpec: "HMAC_256"}, keystore.KindValidation,
			"You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."},
		"no usage, old name": {input{CustomerMasterKeySpec: "RSA_2048"}, keystore.KindValidation,
			"You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."},
		"bad pair": {input{KeySpec: "ECC_NIST_P256", KeyUsage: "ENCRYPT_DECRYPT"}, keystore.KindValidation,
			"KeyUsage ENCRYPT_DECRYPT is not compatible with KeySpec ECC_NIST_P256"},
		"bad pair, symmetric": {input{KeyUsage: "SIGN_VERIFY"}, keystore.KindValidation,
			"KeyUsage SIGN_VERIFY is not compatible with KeySpec SYMMETRIC_DEFAULT"},
		"unknown spec":                {input{KeySpec: "AES"}, keystore.KindValidation, "*"},
		"unknown origin":              {input{Origin: "MARS"}, keystore.KindValidation, "*"},
		"SM2":                         {input{KeySpec: "SM2", KeyUsage: "SIGN_VERIFY"}, keystore.KindUnsupportedOperation, "*"},
		"RSA":                         {input{KeySpec: "RSA_2048", KeyUsage: "SIGN_VERIFY"}, keystore.KindUnsupportedOperation, "*"},
		"HMAC":                        {input{KeySpec: "HMAC_512", KeyUsage: "GENERATE_VERIFY_MAC"}, keystore.KindUnsupportedOperation, "*"},
		"imported":                    {input{Origin: "EXTERNAL"}, keystore.KindUnsupportedOperation, "*"},
		"imported ML-DSA":             {input{Origin: "EXTERNAL", KeySpec: "ML_DSA_44", KeyUsage: "SIGN_VERIFY"}, keystore.KindValidation, "KeySpec ML_DSA_44 is not supported for Origin EXTERNAL"},
		"store without its origin":    {input{CustomKeyStoreID: string(store)}, keystore.KindValidation, "*"},
		"CloudHSM without a store":    {input{Origin: "AWS_CLOUDHSM"}, keystore.KindValidation, "*"},
		"XKS without a store":         {input{Origin: "EXTERNAL_KEY_STORE", XksKeyID: "x"}, keystore.KindValidation, "*"},
		"XKS without a key":           {input{Origin: "EXTERNAL_KEY_STORE", CustomKeyStoreID: string(store)}, keystore.KindValidation, "*"},
		"external key elsewhere":      {input{XksKeyID: "x"}, keystore.KindValidation, "*"},
		"RSA in a store":              {input{Origin: "AWS_CLOUDHSM", CustomKeyStoreID: string(store), KeySpec: "RSA_2048", KeyUsage: "SIGN_VERIFY"}, keystore.KindValidation, "KeySpec RSA_2048 is not supported for Origin AWS_CLOUDHSM"},
		"multi-Region in a store":     {input{Origin: "AWS_CLOUDHSM", CustomKeyStoreID: string(store), MultiRegion: true}, keystore.KindUnsupportedOperation, "*"},
		"unknown store":               {input{Origin: "AWS_CLOUDHSM", CustomKeyStoreID: "cks-00000000000000000"}, keystore.KindCustomKeyStoreNotFound, "*"},
		"disconnected store":          {input{Origin: "AWS_CLOUDHSM", CustomKeyStoreID: string(away)}, keystore.KindCustomKeyStoreInvalidState, "*"},
		"too many tags":               {input{Tags: many}, keystore.KindTag, "Too many tags"},
		"reserved tag":                {input{Tags: []keystore.Tag{{Key: "AwS:x"}}}, keystore.KindTag, "Tags beginning with aws: are reserved"},
		"a tag twice":                 {input{Tags: []keystore.Tag{{Key: "x"}, {Key: "y"}, {Key: "x"}}}, keystore.KindTag, "Duplicate tag keys"},
		"a policy that is no JSON":    {input{Policy: "{"}, keystore.KindMalformedPolicyDocument, "*"},
		"a policy that locks out":     {input{Policy: policy("user/nobody-else", "kms:Encrypt")}, keystore.KindMalformedPolicyDocument, "*"},
		"an unknown principal":        {input{Policy: policy("user/unknown", "kms:*"), BypassPolicyLockoutSafetyCheck: true}, keystore.KindMalformedPolicyDocument, "Policy contains a statement with one or more invalid principals."},
		"a policy of more than 32 KB": {input{Policy: strings.Repeat(" ", 32769) + "{}"}, keystore.KindLimitExceeded, "*"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.CreateKey(t.Context(), w.root, &c.in)
			faulty(t, err, c.kind, c.text)
		})
	}
	assert.Empty(t, w.rows(""), "nothing of all this touched a token")
	assert.Empty(t, w.token.List())
}

// policy allows a principal of the account actions on the key.
func policy(principal string, actions ...string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:%s"},"Action":["%s"],"Resource":"*"}]}`,
		account, principal, strings.Join(actions, `","`))
}

func TestCreateKeyLockout(t *testing.T) {
	w := newWorld(t)
	w.user("alice")
	text := policy("user/alice", "kms:*")
	_, err := w.CreateKey(t.Context(), w.root, &lifecycle.CreateKeyInput{Policy: text})
	faulty(t, err, keystore.KindMalformedPolicyDocument, "The new key policy will not allow you to update the key policy in the future.")
	k := w.create(lifecycle.CreateKeyInput{Policy: text, BypassPolicyLockoutSafetyCheck: true})
	assert.Equal(t, text, k.Policy)
}

func TestCreateKeyQuota(t *testing.T) {
	w := newWorld(t, func(c *lifecycle.Config) { c.Limits.Keys = 2 })
	k := w.create(lifecycle.CreateKeyInput{})
	w.create(lifecycle.CreateKeyInput{})
	_, err := w.CreateKey(t.Context(), w.root, &lifecycle.CreateKeyInput{})
	faulty(t, err, keystore.KindLimitExceeded, "*")
	w.doom(k)
	w.sweep()
	w.create(lifecycle.CreateKeyInput{})
}

func TestCreateKeyNeedsPermission(t *testing.T) {
	w := newWorld(t)
	nobody := w.user("nobody")
	_, err := w.CreateKey(t.Context(), nobody, &lifecycle.CreateKeyInput{})
	faulty(t, err, keystore.KindAccessDenied, "*")
	maker := w.user("maker", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:CreateKey","Resource":"*"}]}`)
	_, err = w.CreateKey(t.Context(), maker, &lifecycle.CreateKeyInput{})
	require.NoError(t, err)
	_, err = w.CreateKey(t.Context(), maker, &lifecycle.CreateKeyInput{Tags: []keystore.Tag{{Key: "a"}}})
	faulty(t, err, keystore.KindAccessDenied, "*")
	assert.Contains(t, err.Error(), "kms:TagResource")
}

// What a token does to a create, and what must be left of it: never an object without a row, never a key without an object.
func TestCreateKeyFailures(t *testing.T) {
	for name, c := range map[string]struct {
		arrange func(m *backendtest.Memory)
		row     keystore.MaterialState
		objects int
		reason  string
	}{
		"the token refuses": {func(m *backendtest.Memory) { m.Fail(backendtest.Create, 1, errLost) }, keystore.MaterialDestroyed, 0, ""},
		"the answer is lost": {func(m *backendtest.Memory) { m.FailAfter(backendtest.Create, 1, errLost) },
			keystore.MaterialDestroyed, 0, ""},
		"the answer is lost, and destroying refused": {func(m *backendtest.Memory) {
			m.FailAfter(backendtest.Create, 1, errLost)
			m.Fail(backendtest.Destroy, 1, errors.New("C_DestroyObject: CKR_ACTION_PROHIBITED"))
		}, keystore.MaterialOrphaned, 1, "C_DestroyObject: CKR_ACTION_PROHIBITED"},
		"the token goes away": {func(m *backendtest.Memory) {
			m.FailAfter(backendtest.Create, 1, errLost)
			m.Fail(backendtest.Find, 1, errLost)
		}, keystore.MaterialPlanned, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.arrange(w.token)
			_, err := w.CreateKey(t.Context(), w.root, &lifecycle.CreateKeyInput{})
			require.ErrorIs(t, err, errLost, "the caller learns of the first trouble")
			rows := w.rows("")
			require.Len(t, rows, 1)
			assert.Equal(t, c.row, rows[0].State)
			assert.Equal(t, c.reason, rows[0].Reason)
			assert.Len(t, w.token.List(), c.objects)
			ids, _, err := w.ListKeys(t.Context(), w.root, keystore.Page{})
			require.NoError(t, err)
			assert.Empty(t, ids)

			w.token.Mend()
			report := w.reconcile()
			if c.row == keystore.MaterialPlanned {
				assert.Equal(t, lifecycle.ReconcileReport{Destroyed: 1}, report)
				assert.Empty(t, w.token.List())
				assert.Equal(t, keystore.MaterialDestroyed, w.rows("")[0].State)
			} else {
				assert.Equal(t, lifecycle.ReconcileReport{}, report)
			}
		})
	}
}

func TestCreateKeyWhoseStoreIsDeletedMeanwhile(t *testing.T) {
	var w *world
	var id keystore.StoreID
	w = newWorld(t, func(c *lifecycle.Config) {
		c.Hook = func(step string) {
			if step == lifecycle.StepCreateGenerated {
				require.NoError(t, w.db.Update(t.Context(), func(tx keystore.Tx) error { return tx.DeleteStore(region, id) }))
			}
		}
	})
	id, token := w.store("one")
	_, err := w.CreateKey(t.Context(), w.root, &lifecycle.CreateKeyInput{Origin: "AWS_CLOUDHSM", CustomKeyStoreID: string(id)})
	faulty(t, err, keystore.KindCustomKeyStoreNotFound, "*")
	assert.Empty(t, token.List())
	assert.Equal(t, keystore.MaterialDestroyed, w.rows("")[0].State)
}

func TestCreateKeyWithoutAToken(t *testing.T) {
	w := newWorld(t)
	w.stores.set("", nil, keystore.Connected)
	_, err := w.CreateKey(t.Context(), w.root, &lifecycle.CreateKeyInput{})
	faulty(t, err, keystore.KindDependencyTimeout, "*")
	assert.Empty(t, w.rows(""))
}

// While a token is away the callers who ask again and again leave nothing in the ledger, which keeps every row.
func TestCreateKeyOnATokenThatIsAway(t *testing.T) {
	w := newWorld(t)
	id, token := w.store("one")
	k := w.create(lifecycle.CreateKeyInput{})
	before := len(w.rows(""))
	w.token.Down(backendtest.Lost())
	token.Down(backendtest.Lost())
	for range 3 {
		_, err := w.CreateKey(t.Context(), w.root, &lifecycle.CreateKeyInput{})
		faulty(t, err, keystore.KindDependencyTimeout, "The key store did not answer. Try again.")
		_, err = w.CreateKey(t.Context(), w.root, &lifecycle.CreateKeyInput{Origin: "AWS_CLOUDHSM", CustomKeyStoreID: string(id)})
		faulty(t, err, keystore.KindCloudHsmClusterInvalidConfig, "CloudHSM cluster must contain active HSMs in at least two Availability Zones")
		_, err = w.RotateKeyOnDemand(t.Context(), w.root, string(k.ID))
		faulty(t, err, keystore.KindDependencyTimeout, "*")
	}
	assert.Len(t, w.rows(""), before)
	w.token.Mend()
	w.create(lifecycle.CreateKeyInput{})
	_, err := w.RotateKeyOnDemand(t.Context(), w.root, string(k.ID))
	require.NoError(t, err)
}

// A key is not made in a store that is on another cluster by then, whose token has none of its material.
func TestCreateKeyWhoseStoreIsMovedMeanwhile(t *testing.T) {
	var w *world
	var id keystore.StoreID
	w = newWorld(t, func(c *lifecycle.Config) {
		c.Hook = func(step string) {
			if step == lifecycle.StepCreateGenerated {
				require.NoError(t, w.db.Update(t.Context(), func(tx keystore.Tx) error {
					st, err := tx.Store(region, id)
					if err == nil {
						st.ClusterID = "cluster-elsewhere"
						err = tx.UpdateStore(st)
					}
					return err
				}))
			}
		}
	})
	id, token := w.store("one")
	_, err := w.CreateKey(t.Context(), w.root, &lifecycle.CreateKeyInput{Origin: "AWS_CLOUDHSM", CustomKeyStoreID: string(id)})
	faulty(t, err, keystore.KindCustomKeyStoreInvalidState, "*")
	assert.Empty(t, token.List())
	assert.Equal(t, keystore.MaterialDestroyed, w.rows("")[0].State)
}

// What a policy can ask of CreateKey, under the old names of spec and usage too.
func TestConditionsOnCreateKey(t *testing.T) {
	w := newWorld(t)
	may := func(name, condition string) *keystore.Caller {
		return w.user(name, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:CreateKey","Resource":"*","Condition":`+condition+`}]}`)
	}
	old := may("old", `{"StringEquals":{"kms:CustomerMasterKeySpec":"SYMMETRIC_DEFAULT","kms:CustomerMasterKeyUsage":"ENCRYPT_DECRYPT"}}`)
	_, err := w.CreateKey(t.Context(), old, &lifecycle.CreateKeyInput{})
	require.NoError(t, err)
	_, err = w.CreateKey(t.Context(), old, &lifecycle.CreateKeyInput{KeySpec: "RSA_2048", KeyUsage: "SIGN_VERIFY"})
	faulty(t, err, keystore.KindAccessDenied, "*")
	primary := may("primary", `{"StringEquals":{"kms:MultiRegionKeyType":"PRIMARY"}}`)
	_, err = w.CreateKey(t.Context(), primary, &lifecycle.CreateKeyInput{MultiRegion: true})
	require.NoError(t, err)
	_, err = w.CreateKey(t.Context(), primary, &lifecycle.CreateKeyInput{})
	faulty(t, err, keystore.KindAccessDenied, "*")
}
