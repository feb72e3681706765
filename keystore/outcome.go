package keystore

import "strings"

// Verdict is what a cell of the key state table says.
type Verdict uint8

// The verdicts. The zero verdict is Deny, so that a cell which nobody filled refuses.
const (
	Deny          Verdict = iota // refused with the cell's kind and text
	Allow                        // the state is no obstacle
	Conditional                  // allowed if the key fits the action (origin, spec, store, primary); else the cell's kind and text
	NotApplicable                // no key that fits the action can be in this state; refused all the same
)

// String gives the specification's word for the verdict.
func (v Verdict) String() string {
	switch v {
	case Allow:
		return "ok"
	case Conditional:
		return "conditional"
	case NotApplicable:
		return "n/a"
	default:
		return "fail"
	}
}

// Outcome is a cell of the key state table: what an action on a key in a state comes to.
type Outcome struct {
	Verdict Verdict
	Kind    Kind   // of the refusal; "" with Allow
	Text    string // of the refusal, with <key ARN> and <Origin> to be filled in; "" where AWS documents none
	// Footnote is the reference as AWS's table prints it ("[2] or [3]"); Notes holds its numbers. Footnotes explains them.
	Footnote string
	Notes    []string
	// FitFirst: a key that does not fit the action is refused for that before it is refused for its state.
	FitFirst bool
}

// The parts of a text that are filled in.
const (
	ARNMark    = "<key ARN>"
	OriginMark = "<Origin>"
)

// The texts of refusals, in AWS's words (key state table of the developer guide; api-errors.md section 6).
const (
	textDisabled        = ARNMark + " is disabled."
	textDeleting        = ARNMark + " is pending deletion."
	textDeletingReplica = ARNMark + " is pending replica deletion."
	textNotDeleting     = ARNMark + " is not pending deletion."
	textImporting       = ARNMark + " is pending import."
	textUnavailable     = ARNMark + " is unavailable."
	textCreating        = ARNMark + " is creating."
	textUpdating        = ARNMark + " is updating."
	textOrigin          = ARNMark + " origin is " + OriginMark + " which is not valid for this operation."
	textNotPrimary      = ARNMark + " is not a multi-region primary key."
	// Reported for keys of external key stores instead of "is unavailable." (XKS proxy API specification).
	textXksUnavailable = "This KMS key is in a custom key store that is not connected to its external key store proxy. " +
		"Connect the external key store and try the request again."
)

// Fault makes the refusal for a key: the outcome's text with the key's ARN and origin in it.
func (o *Outcome) Fault(k *Key) *Fault {
	return &Fault{Kind: o.Kind, Text: fill(o.Text, k)}
}

func fill(text string, k *Key) string {
	if text == "" {
		return ""
	}
	return strings.NewReplacer(ARNMark, k.ARN(), OriginMark, string(k.Origin)).Replace(text)
}

// Footnote explains a number that the key state table prints.
type Footnote struct {
	Number string // "[1]"
	Kind   Kind   // "" where the footnote is no refusal
	Text   string // of the refusal; "" where AWS gives none
	About  string // for people
}

// Footnotes lists the footnotes of the key state table in order. The table prefers KMSInvalidState to Disabled where AWS
// prints "[2] or [3]": that is what AWS is seen to answer.
func Footnotes() []Footnote {
	return []Footnote{
		{"[1]", KindDisabled, textDisabled, "The key is disabled."},
		{"[2]", KindDisabled, textDeleting, "AWS documents this beside [3]; recorded answers are [3], and so are ours."},
		{"[3]", KindInvalidState, textDeleting, "Deletion is scheduled. In PendingReplicaDeletion the text ends in \"is pending replica deletion.\"."},
		{"[4]", KindInvalidState, textNotDeleting, "There is no scheduled deletion to cancel."},
		{"[5]", KindInvalidState, textImporting, "The key has no key material yet, or not all of it."},
		{"[6]", KindUnsupportedOperation, textOrigin, "Keys with imported material have no automatic rotation; marked (old) where AWS has since opened the operation to them."},
		{"[7]", KindUnsupportedOperation, textOrigin, "For keys that the action does not fit: imported material, custom key stores, asymmetric and HMAC keys."},
		{"[8]", KindInvalidState, textDeleting, "For keys with imported material whose deletion is scheduled."},
		{"[9]", KindUnsupportedOperation, textOrigin, "For keys that cannot have imported material."},
		{"[10]", KindInvalidState, textDeleting, "For the key that the alias is to point at; the key that it points at now may be in any state."},
		{"[11]", KindInvalidState, textUnavailable, "The key's custom key store is not connected. Keys of external key stores get the XKS text."},
		{"[12]", "", "", "Succeeds, but the state that callers see stays Unavailable until the store is connected again."},
		{"[13]", "", "", "A key whose deletion is scheduled is never Unavailable, so its deletion can always be cancelled."},
		{"[14]", KindInvalidState, textCreating, "A replica is being made (ReplicateKey)."},
		{"[15]", KindInvalidState, textUpdating, "The primary Region is being changed (UpdatePrimaryRegion)."},
	}
}

// cell makes an outcome; numbers is the footnote as printed.
func cell(v Verdict, kind Kind, text, footnote string, numbers ...string) Outcome {
	return Outcome{Verdict: v, Kind: kind, Text: text, Footnote: footnote, Notes: numbers}
}

func (o Outcome) fitFirst() Outcome {
	o.FitFirst = true
	return o
}

// The cells that the table is made of.
var (
	yes     = Outcome{Verdict: Allow}
	yesLate = cell(Allow, "", "", "[12]", "[12]")

	disabled        = cell(Deny, KindDisabled, textDisabled, "[1]", "[1]")
	deleting        = cell(Deny, KindInvalidState, textDeleting, "[3]", "[3]")
	deletingReplica = cell(Deny, KindInvalidState, textDeletingReplica, "[3]", "[3]")
	deletingUse     = cell(Deny, KindInvalidState, textDeleting, "[2] or [3]", "[2]", "[3]")
	deletingRepUse  = cell(Deny, KindInvalidState, textDeletingReplica, "[2] or [3]", "[2]", "[3]")
	notDeleting     = cell(Deny, KindInvalidState, textNotDeleting, "[4]", "[4]")
	notDeletingAway = cell(Deny, KindInvalidState, textNotDeleting, "[4], [13]", "[4]", "[13]")
	importing       = cell(Deny, KindInvalidState, textImporting, "[5]", "[5]")
	importingAsym   = cell(Deny, KindInvalidState, textImporting, "[5] (table: N/A)", "[5]")
	importingRotate = cell(Deny, KindInvalidState, textImporting, "[6] (old)", "[6]")
	unavailable     = cell(Deny, KindInvalidState, textUnavailable, "[11]", "[11]")
	creating        = cell(Deny, KindInvalidState, textCreating, "[14]", "[14]")
	updating        = cell(Deny, KindInvalidState, textUpdating, "[15]", "[15]")

	// Rotation: [7] comes before the state.
	rotates            = cell(Conditional, KindUnsupportedOperation, textOrigin, "[7]", "[7]")
	rotatesBare        = cell(Conditional, KindUnsupportedOperation, "", "[7]", "[7]")
	rotatesImporting   = cell(Conditional, KindUnsupportedOperation, textOrigin, "[6] (old)", "[6]")
	rotatesNever       = cell(Deny, KindUnsupportedOperation, textOrigin, "[6]", "[6]").fitFirst()
	rotatesAway        = cell(Deny, KindUnsupportedOperation, "", "[7]", "[7]").fitFirst()
	rotatesDisabled    = cell(Deny, KindDisabled, textDisabled, "[1] or [7]", "[1]", "[7]").fitFirst()
	rotatesDeleting    = cell(Deny, KindInvalidState, textDeleting, "[3] or [7]", "[3]", "[7]").fitFirst()
	rotatesDeletingRep = cell(Deny, KindInvalidState, textDeletingReplica, "[3] or [7]", "[3]", "[7]").fitFirst()

	// Import: [9] comes before the state.
	imports            = cell(Conditional, KindUnsupportedOperation, textOrigin, "[9]", "[9]")
	importsDeleting    = cell(Deny, KindInvalidState, textDeleting, "[8] or [9]", "[8]", "[9]").fitFirst()
	importsDeletingRep = cell(Deny, KindInvalidState, textDeletingReplica, "[8] or [9]", "[8]", "[9]").fitFirst()
	importsAway        = cell(Deny, KindUnsupportedOperation, textOrigin, "[9]", "[9]").fitFirst()

	retargets = cell(Conditional, KindInvalidState, textDeleting, "[10]", "[10]")
	pairs     = cell(Conditional, KindUnsupportedOperation, "", "")
	primary   = cell(Conditional, KindUnsupportedOperation, textNotPrimary, "")

	// No fitting key can be in the state: refused for its state if one ever is.
	neverImporting = cell(NotApplicable, KindInvalidState, textImporting, "")
	neverAway      = cell(NotApplicable, KindInvalidState, textUnavailable, "")
	neverImported  = cell(NotApplicable, KindUnsupportedOperation, textOrigin, "").fitFirst()
)
