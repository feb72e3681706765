package keystore_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
)

const keyID = "1234abcd-12ab-34cd-56ef-1234567890ab"

// A sample is a kind of key that exists; put makes one in a state as callers see it.
type sample struct {
	name    string
	origin  keystore.Origin
	spec    keystore.Spec
	usage   keystore.Usage
	region  string // "", "primary" or "replica"
	inStore bool
}

func (s sample) put(state keystore.State) (*keystore.Key, keystore.ConnState) {
	k := &keystore.Key{ID: keyID, Account: "111122223333", Region: "us-west-2", Origin: s.origin, Spec: s.spec, Usage: s.usage, State: state}
	conn := keystore.Connected
	if s.inStore {
		k.StoreID = "cks-1234567890abcdef0"
	}
	if state == keystore.Unavailable {
		k.State, conn = keystore.Enabled, keystore.Disconnected
	}
	if s.region != "" {
		k.MultiRegion = &keystore.MultiRegion{Primary: s.region == "primary", PrimaryRegion: "us-west-2"}
	}
	return k, conn
}

// can tells whether such a key can be in the state (key-lifecycle.md section 1).
func (s sample) can(state keystore.State) bool {
	switch state {
	case keystore.PendingImport:
		return s.origin == keystore.OriginExternal
	case keystore.Unavailable:
		return s.inStore
	case keystore.Creating:
		return s.region == "replica"
	case keystore.Updating:
		return s.region != ""
	case keystore.PendingReplicaDeletion:
		return s.region == "primary"
	default:
		return true
	}
}

const (
	encDec = keystore.UsageEncryptDecrypt
	sigVer = keystore.UsageSignVerify
)

// samples covers every origin, type of key and place among multi-Region keys.
func samples() []sample {
	kms, ext := keystore.OriginKMS, keystore.OriginExternal
	out := []sample{
		{"hsm", keystore.OriginCloudHSM, keystore.SymmetricDefault, encDec, "", true},
		{"xks", keystore.OriginXKS, keystore.SymmetricDefault, encDec, "", true},
	}
	for _, place := range []string{"", "primary", "replica"} {
		for _, o := range []keystore.Origin{kms, ext} {
			name := strings.TrimSpace(string(o) + " " + place + " ")
			out = append(out,
				sample{name + " symmetric", o, keystore.SymmetricDefault, encDec, place, false},
				sample{name + " rsa encrypts", o, keystore.RSA2048, encDec, place, false},
				sample{name + " rsa signs", o, keystore.RSA3072, sigVer, place, false},
				sample{name + " ec agrees", o, keystore.ECCP256, keystore.UsageKeyAgreement, place, false},
				sample{name + " hmac", o, keystore.HMAC256, keystore.UsageMAC, place, false})
		}
		out = append(out, sample{strings.TrimSpace("kem " + place), kms, keystore.MLKEM768, keystore.UsageEncapsulateDecp, place, false})
	}
	return out
}

// fits says which keys an action is for, written down anew from the facts, apart from the tables under test: first by
// usage and type, then by the condition of the conditional cells.
func fits(a keystore.Action, s sample) (usage, condition bool) {
	symmetric, custom := s.spec == keystore.SymmetricDefault, s.inStore
	usage, condition = true, true
	switch a {
	case "Encrypt", "Decrypt", "ReEncrypt":
		usage = s.usage == encDec
	case "GenerateDataKey", "GenerateDataKeyWithoutPlaintext":
		usage = symmetric
	case "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext":
		usage, condition = symmetric, !custom
	case "Sign", "Verify":
		usage = s.usage == sigVer
	case "GenerateMac", "VerifyMac":
		usage = s.usage == keystore.UsageMAC
	case "DeriveSharedSecret":
		usage = s.usage == keystore.UsageKeyAgreement
	case "Encapsulate", "Decapsulate":
		usage = s.usage == keystore.UsageEncapsulateDecp
	case "GetPublicKey":
		usage = !symmetric && s.usage != keystore.UsageMAC
	case "EnableKeyRotation", "DisableKeyRotation":
		condition = symmetric && s.origin == keystore.OriginKMS && s.region != "replica"
	case "GetKeyRotationStatus":
		condition = s.origin == keystore.OriginKMS || symmetric && s.origin == keystore.OriginExternal
	case "ListKeyRotations":
		condition = symmetric && !custom
	case "RotateKeyOnDemand":
		condition = symmetric && !custom && s.region != "replica"
	case "GetParametersForImport", "ImportKeyMaterial", "DeleteImportedKeyMaterial":
		condition = s.origin == keystore.OriginExternal
	case "ReplicateKey", "UpdatePrimaryRegion":
		condition = s.region == "primary"
	}
	return usage, condition
}

// TestAdmitEveryCellByRealKeys does every cell of the specification with every kind of key that can be in its state.
func TestAdmitEveryCellByRealKeys(t *testing.T) {
	for _, row := range specRows(t, "key-states.csv") {
		action, state := keystore.Action(row["operation"]), keystore.State(row["state"])
		t.Run(row["operation"]+"/"+row["state"], func(t *testing.T) {
			tried, allowed, refused := 0, 0, 0
			for _, s := range samples() {
				if !s.can(state) {
					continue
				}
				k, conn := s.put(state)
				require.Equal(t, state, keystore.EffectiveState(k, conn))
				err := keystore.Admit(action, k, conn)
				tried++
				if err == nil {
					allowed++
				} else {
					refused++
				}
				checkCell(t, row, s, k, err)
			}
			require.Positive(t, tried)
			if row["result"] == "ok" {
				require.Positive(t, allowed, "a key that fits must be let through")
			}
			if row["result"] == "conditional" && action != keystore.ActionUpdateAlias && state != keystore.Creating {
				require.Positive(t, allowed, "the branch that succeeds must be seen")
			}
			if row["result"] != "ok" {
				require.Positive(t, refused, "the branch that fails must be seen")
			}
		})
	}
}

func checkCell(t *testing.T, row map[string]string, s sample, k *keystore.Key, err error) {
	t.Helper()
	action, state := keystore.Action(row["operation"]), keystore.State(row["state"])
	usage, condition := fits(action, s)
	kind := keystore.KindOf(err)
	want := keystore.Kind(strings.TrimSuffix(row["error"], "Exception"))
	byFootnote := strings.Contains(row["footnote"], "[7]") || strings.Contains(row["footnote"], "[9]") || strings.Contains(row["footnote"], "[6]")
	switch {
	case !usage:
		assert.Contains(t, []keystore.Kind{keystore.KindInvalidKeyUsage, keystore.KindUnsupportedOperation}, kind, s.name)
	case row["result"] == "n/a":
		assert.Error(t, err, s.name)
	case row["result"] == "ok" && condition:
		assert.NoError(t, err, s.name)
	case row["result"] == "ok":
		assert.Equal(t, keystore.KindUnsupportedOperation, kind, "%s does not fit", s.name)
	case action == keystore.ActionUpdateAlias: // the key given is the new target
		assert.Equal(t, k.ARN()+" is pending deletion.", text(err), s.name)
	case row["result"] == "conditional" && condition:
		assert.NoError(t, err, s.name)
	case row["result"] == "conditional":
		assert.Equal(t, want, kind, s.name)
		checkText(t, row, k, err)
	case !condition && byFootnote && row["footnote"] != "[6] (old)": // "[1] or [7]", "[3] or [7]", "[8] or [9]", [6], [7], [9]
		assert.Equal(t, keystore.KindUnsupportedOperation, kind, s.name)
		if want == keystore.KindUnsupportedOperation {
			checkText(t, row, k, err)
		}
	default:
		assert.Equal(t, want, kind, s.name)
		if state == keystore.Unavailable && s.origin == keystore.OriginXKS && strings.Contains(row["message"], "is unavailable.") {
			assert.Equal(t, xksNotConnected, text(err))
			return
		}
		checkText(t, row, k, err)
	}
}

const xksNotConnected = "This KMS key is in a custom key store that is not connected to its external key store proxy. " +
	"Connect the external key store and try the request again."

// checkText compares with the specification's message where it has one for keys of this origin.
func checkText(t *testing.T, row map[string]string, k *keystore.Key, err error) {
	t.Helper()
	message := row["message"]
	if originWord.MatchString(message) {
		if k.Origin == keystore.OriginKMS && !strings.Contains(message, string(k.Origin)) || k.MultiRegion != nil {
			return // refused for its type, or as a replica: the specification's message is not for it
		}
		message = strings.Replace(template(message), keystore.OriginMark, string(k.Origin), 1)
	}
	if message == "" {
		return
	}
	message = strings.NewReplacer("<mrk key ARN>", k.ARN(), "<key ARN>", k.ARN()).Replace(message)
	assert.Equal(t, message, text(err))
}

func text(err error) string {
	if f, isFault := err.(*keystore.Fault); isFault { //nolint:errorlint // Admit answers the Fault itself
		return f.Text
	}
	return ""
}

// TestAdmitWords pins whole answers, byte by byte, one for each rule.
func TestAdmitWords(t *testing.T) {
	const arn = "arn:aws:kms:us-west-2:111122223333:key/" + keyID
	by := map[string]sample{}
	for _, s := range samples() {
		by[s.name] = s
	}
	tests := []struct {
		name   string
		action keystore.Action
		key    string
		state  keystore.State
		kind   keystore.Kind
		text   string
	}{
		{"usage", "Sign", "AWS_KMS symmetric", "Enabled", "InvalidKeyUsage", arn + " key usage is ENCRYPT_DECRYPT which is not valid for Sign."},
		{"usage before state", "Encrypt", "AWS_KMS hmac", "Disabled", "InvalidKeyUsage", arn + " key usage is GENERATE_VERIFY_MAC which is not valid for Encrypt."},
		{"data key from RSA", "GenerateDataKey", "AWS_KMS rsa encrypts", "Enabled", "InvalidKeyUsage", "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048."},
		{"public key of a secret key", "GetPublicKey", "AWS_KMS symmetric", "Enabled", "UnsupportedOperation", arn + " key spec is SYMMETRIC_DEFAULT which is not valid for this operation."},
		{"disabled", "Encrypt", "AWS_KMS symmetric", "Disabled", "Disabled", arn + " is disabled."},
		{"deleting", "Decrypt", "hsm", "PendingDeletion", "KMSInvalidState", arn + " is pending deletion."},
		{"deleting replicas", "Decrypt", "AWS_KMS primary symmetric", "PendingReplicaDeletion", "KMSInvalidState", arn + " is pending replica deletion."},
		{"not deleting", "CancelKeyDeletion", "hsm", "Unavailable", "KMSInvalidState", arn + " is not pending deletion."},
		{"importing", "Encrypt", "EXTERNAL symmetric", "PendingImport", "KMSInvalidState", arn + " is pending import."},
		{"unavailable", "Encrypt", "hsm", "Unavailable", "KMSInvalidState", arn + " is unavailable."},
		{"unavailable behind a proxy", "Encrypt", "xks", "Unavailable", "KMSInvalidState", xksNotConnected},
		{"creating", "Encrypt", "AWS_KMS replica symmetric", "Creating", "KMSInvalidState", arn + " is creating."},
		{"updating", "DisableKey", "AWS_KMS primary symmetric", "Updating", "KMSInvalidState", arn + " is updating."},
		{"import into AWS_KMS", "GetParametersForImport", "AWS_KMS symmetric", "Enabled", "UnsupportedOperation", arn + " origin is AWS_KMS which is not valid for this operation."},
		{"import into a store", "ImportKeyMaterial", "xks", "Unavailable", "UnsupportedOperation", arn + " origin is EXTERNAL_KEY_STORE which is not valid for this operation."},
		{"origin before pending deletion", "ImportKeyMaterial", "AWS_KMS symmetric", "PendingDeletion", "UnsupportedOperation", arn + " origin is AWS_KMS which is not valid for this operation."},
		{"import while deleting", "ImportKeyMaterial", "EXTERNAL symmetric", "PendingDeletion", "KMSInvalidState", arn + " is pending deletion."},
		{"rotate imported", "EnableKeyRotation", "EXTERNAL symmetric", "PendingImport", "UnsupportedOperation", arn + " origin is EXTERNAL which is not valid for this operation."},
		{"rotate in a store", "EnableKeyRotation", "hsm", "Unavailable", "UnsupportedOperation", arn + " origin is AWS_CLOUDHSM which is not valid for this operation."},
		{"rotate an RSA key", "RotateKeyOnDemand", "AWS_KMS rsa signs", "Enabled", "UnsupportedOperation", ""},
		{"rotate a disabled key", "RotateKeyOnDemand", "AWS_KMS symmetric", "Disabled", "Disabled", arn + " is disabled."},
		{"rotate a replica", "EnableKeyRotation", "AWS_KMS replica symmetric", "Enabled", "UnsupportedOperation", arn + " is not a multi-region primary key."},
		{"replicate a single-Region key", "ReplicateKey", "AWS_KMS symmetric", "Enabled", "UnsupportedOperation", arn + " is not a multi-region primary key."},
		{"data key pair from a store", "GenerateDataKeyPair", "hsm", "Enabled", "UnsupportedOperation", arn + " origin is AWS_CLOUDHSM which is not valid for this operation."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Contains(t, by, tt.key)
			k, conn := by[tt.key].put(tt.state)
			err := keystore.Admit(tt.action, k, conn)
			assert.Equal(t, tt.kind, keystore.KindOf(err))
			assert.Equal(t, tt.text, text(err))
		})
	}
}

func TestAdmitRefusesTheUnknown(t *testing.T) {
	k, conn := samples()[0].put(keystore.Enabled)
	assert.Equal(t, keystore.KindInternal, keystore.KindOf(keystore.Admit(keystore.ActionCreateKey, k, conn)))
	k.State = "Melted"
	assert.Equal(t, keystore.KindInternal, keystore.KindOf(keystore.Admit(keystore.ActionDescribeKey, k, conn)))
}

// TestXksKeysNotConnected compares with the XKS table's rows about stores that are not connected.
func TestXksKeysNotConnected(t *testing.T) {
	found := 0
	for _, row := range specRows(t, "xks-kms-errors.csv") {
		if row["failure_scenario"] != "Custom key store is not in CONNECTED state" {
			continue
		}
		found++
		action := keystore.Action(row["kms_operation"])
		var err error
		if action == keystore.ActionCreateKey {
			err = keystore.PermitStore(action, keystore.StoreXKS, keystore.Disconnected)
		} else {
			k, conn := samples()[1].put(keystore.Unavailable)
			err = keystore.Admit(action, k, conn)
		}
		assert.Equal(t, row["exception"], string(keystore.KindOf(err))+"Exception", action)
		assert.Equal(t, row["message"], text(err), action)
	}
	assert.Equal(t, 6, found)
}

func TestAdmitAllocatesNothing(t *testing.T) {
	k, conn := samples()[0].put(keystore.Enabled)
	got := testing.AllocsPerRun(100, func() {
		if keystore.Admit(keystore.ActionEncrypt, k, conn) != nil {
			t.Error("refused")
		}
	})
	assert.Zero(t, got)
}

func BenchmarkAdmit(b *testing.B) {
	k, conn := samples()[0].put(keystore.Enabled)
	b.ReportAllocs()
	for b.Loop() {
		if err := keystore.Admit(keystore.ActionEncrypt, k, conn); err != nil {
			b.Fatal(err)
		}
	}
}
