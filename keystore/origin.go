package keystore

// fit is a condition that a key must meet for an action, by origin, spec, store or place among multi-Region keys: what
// decides the conditional cells of the key state table.
type fit struct {
	about string // who fits, for people
	holds func(k *Key) bool
	kind  Kind
	text  func(k *Key) string
}

// fitTable: the actions with a condition. AWS's table says where it comes before the state (Outcome.FitFirst).
var fitTable = map[Action]fit{
	ActionEnableKeyRotation:  automatic,
	ActionDisableKeyRotation: automatic,
	// Asymmetric and HMAC keys are told that they do not rotate: the Terraform provider asks this of every key of AWS_KMS.
	// Imported symmetric keys have rotated on demand since 2025-06, and AWS's guide has callers watch that with this operation
	// ("Perform on-demand key rotation"); the table's [7] for them is older.
	ActionGetKeyRotationStatus: {"keys of origin AWS_KMS, and symmetric encryption keys of origin EXTERNAL",
		func(k *Key) bool { return k.Origin == OriginKMS || k.ShowsMaterialID() }, KindUnsupportedOperation, fixed(textOrigin)},
	ActionListKeyRotations: {"symmetric encryption keys of origin AWS_KMS or EXTERNAL",
		(*Key).ShowsMaterialID, KindUnsupportedOperation, rotationText},
	ActionRotateKeyOnDemand: {"symmetric encryption keys of origin AWS_KMS or EXTERNAL, but no multi-Region replica",
		func(k *Key) bool { return k.ShowsMaterialID() && !k.replica() }, KindUnsupportedOperation, onDemandText},

	ActionGetParametersForImport:    imported,
	ActionImportKeyMaterial:         imported,
	ActionDeleteImportedKeyMaterial: imported,

	ActionGenerateDataKeyPair:                 pairMaker,
	ActionGenerateDataKeyPairWithoutPlaintext: pairMaker,

	ActionReplicateKey:        primaryOnly,
	ActionUpdatePrimaryRegion: primaryOnly,

	// The key given to Admit is the alias's new target; the key that it leaves is not asked.
	ActionUpdateAlias: {"new targets whose deletion is not scheduled",
		func(k *Key) bool { return !k.PendingDeletion() }, KindInvalidState, fixed(textDeleting)},
}

var (
	automatic = fit{"symmetric encryption keys of origin AWS_KMS, but no multi-Region replica",
		func(k *Key) bool { return rotatesItself(k) && !k.replica() }, KindUnsupportedOperation, rotationText}
	imported = fit{"keys of origin EXTERNAL",
		func(k *Key) bool { return k.Origin == OriginExternal }, KindUnsupportedOperation, fixed(textOrigin)}
	pairMaker = fit{"keys outside custom key stores",
		func(k *Key) bool { return k.StoreID == "" }, KindUnsupportedOperation, fixed(textOrigin)}
	primaryOnly = fit{"primary keys among multi-Region keys",
		func(k *Key) bool { return k.MultiRegion != nil && k.MultiRegion.Primary }, KindUnsupportedOperation, fixed(textNotPrimary)}
)

func fixed(text string) func(*Key) string { return func(*Key) string { return text } }

func rotatesItself(k *Key) bool { return k.Spec == SymmetricDefault && k.Origin == OriginKMS }

// replica tells whether k is a multi-Region replica: rotation is set on the primary (developer guide, "Shared properties").
func (k *Key) replica() bool { return k.MultiRegion != nil && !k.MultiRegion.Primary }

// rotationText: the origin is named where it is the reason. For an asymmetric or HMAC key of AWS_KMS there is no text, as
// recorded (api-errors.md section 6, RotateKeyOnDemand).
func rotationText(k *Key) string {
	switch {
	case k.Origin != OriginKMS:
		return textOrigin
	case k.Spec != SymmetricDefault:
		return ""
	default:
		return textNotPrimary
	}
}

// onDemandText differs from rotationText in that imported symmetric keys fit, unless they are replicas.
func onDemandText(k *Key) string {
	if k.ShowsMaterialID() {
		return textNotPrimary
	}
	return rotationText(k)
}

// check gives the fault of a key that does not fit; nil where it does.
func (f *fit) check(k *Key) *Fault {
	if f.holds == nil || f.holds(k) {
		return nil
	}
	return &Fault{Kind: f.kind, Text: fill(f.text(k), k)}
}

// FitFor says in words which keys an action with conditional cells is for; "" for actions without a condition.
func FitFor(a Action) string { return fitTable[a].about }
