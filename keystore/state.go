package keystore

// row holds the cells of one action, in the order of States.
type row [8]Outcome

// States lists the key states in the order of the specification's table.
func States() []State {
	return []State{Enabled, Disabled, PendingDeletion, PendingReplicaDeletion, PendingImport, Unavailable, Creating, Updating}
}

// column is a state's place in a row; -1 for a state that the API does not have.
func (s State) column() int {
	switch s {
	case Enabled:
		return 0
	case Disabled:
		return 1
	case PendingDeletion:
		return 2
	case PendingReplicaDeletion:
		return 3
	case PendingImport:
		return 4
	case Unavailable:
		return 5
	case Creating:
		return 6
	case Updating:
		return 7
	default:
		return -1
	}
}

// Rows that several actions share.
var (
	always  = row{yes, yes, yes, yes, yes, yes, yes, yes}
	unless  = row{yes, yes, deleting, deletingReplica, yes, yes, yes, yes}
	toggles = row{yes, yes, deleting, deletingReplica, importing, yesLate, creating, updating}
	ciphers = row{yes, disabled, deletingUse, deletingRepUse, importing, unavailable, creating, yes}
	proves  = row{yes, disabled, deletingUse, deletingRepUse, importingAsym, neverAway, creating, yes}
	capsule = row{yes, disabled, deletingUse, deletingRepUse, neverImporting, neverAway, creating, yes}
	makes   = row{pairs, disabled, deletingUse, deletingRepUse, importing, unavailable, creating, yes}
	rotator = row{rotates, rotatesDisabled, rotatesDeleting, rotatesDeletingRep, rotatesNever, rotatesAway, creating, rotates}
)

// keyTable is the key state table: what each action on an existing key comes to in each state (developer guide, "Key
// states of AWS KMS keys"; newer operations by their error lists). It equals testdata/spec/key-states.csv cell by cell.
// Columns: Enabled, Disabled, PendingDeletion, PendingReplicaDeletion, PendingImport, Unavailable, Creating, Updating.
var keyTable = map[Action]row{
	ActionCancelKeyDeletion: {notDeleting, notDeleting, yes, yes, notDeleting, notDeletingAway, notDeleting, notDeleting},
	ActionCreateAlias:       unless,
	ActionCreateGrant:       {yes, disabled, deletingUse, deletingRepUse, importing, yes, creating, yes},
	ActionDecapsulate:       capsule,
	ActionDecrypt:           ciphers,
	ActionDeleteAlias:       always,
	ActionDeleteImportedKeyMaterial: {
		imports, imports, imports, imports, yes, neverImported, creating, updating,
	},
	ActionDeriveSharedSecret:                  proves,
	ActionDescribeKey:                         always,
	ActionDisableKey:                          toggles,
	ActionDisableKeyRotation:                  rotator,
	ActionEnableKey:                           toggles,
	ActionEnableKeyRotation:                   rotator,
	ActionEncapsulate:                         capsule,
	ActionEncrypt:                             ciphers,
	ActionGenerateDataKey:                     ciphers,
	ActionGenerateDataKeyPair:                 makes,
	ActionGenerateDataKeyPairWithoutPlaintext: makes,
	ActionGenerateDataKeyWithoutPlaintext:     ciphers,
	ActionGenerateMac:                         proves,
	ActionGetKeyLastUsage:                     always,
	ActionGetKeyPolicy:                        always,
	ActionGetKeyRotationStatus: {
		rotates, rotates, rotates, rotates, rotatesNever, rotatesAway, rotates, rotates,
	},
	ActionGetParametersForImport: {
		imports, imports, importsDeleting, importsDeletingRep, yes, importsAway, creating, updating,
	},
	ActionGetPublicKey: {yes, yes, deletingUse, deletingRepUse, importingAsym, neverAway, creating, yes},
	ActionImportKeyMaterial: {
		imports, imports, importsDeleting, importsDeletingRep, yes, importsAway, creating, yes,
	},
	ActionListAliases:     always,
	ActionListGrants:      always,
	ActionListKeyPolicies: always,
	ActionListKeyRotations: {
		rotatesBare, rotatesBare, rotatesBare, rotatesBare, rotatesImporting, rotatesAway, rotatesBare, rotatesBare,
	},
	ActionListResourceTags: always,
	ActionPutKeyPolicy:     always,
	ActionReEncrypt:        ciphers,
	ActionReplicateKey: {
		primary, disabled, deletingUse, deletingRepUse, importing, neverAway, creating, updating,
	},
	ActionRetireGrant: always,
	ActionRevokeGrant: always,
	ActionRotateKeyOnDemand: {
		rotatesBare, rotatesDisabled, rotatesDeleting, rotatesDeletingRep, importingRotate, rotatesAway, creating, rotatesBare,
	},
	ActionScheduleKeyDeletion:  {yes, yes, deleting, deletingReplica, yes, yes, yes, updating},
	ActionSign:                 proves,
	ActionTagResource:          unless,
	ActionUntagResource:        unless,
	ActionUpdateAlias:          {yes, yes, retargets, retargets, yes, yes, yes, yes},
	ActionUpdateKeyDescription: unless,
	ActionUpdatePrimaryRegion: {
		primary, disabled, deletingUse, deletingRepUse, importing, neverAway, creating, yes,
	},
	ActionVerify:    proves,
	ActionVerifyMac: proves,
}

// Permit gives the cell of an action and a state. An action that takes no existing key, or is not of the API, and a state
// that is not of the API give the zero Outcome, which denies.
func Permit(a Action, s State) Outcome {
	r, found := keyTable[a]
	col := s.column()
	if !found || col < 0 {
		return Outcome{}
	}
	return r[col]
}

// EffectiveState is the KeyState that callers see: Unavailable is derived for an enabled or disabled key whose custom key
// store is in any connection state but CONNECTED. Every other stored state wins over it (footnote 13 for the deletions).
// conn is ignored for keys outside custom key stores.
func EffectiveState(k *Key, conn ConnState) State {
	if k.StoreID != "" && conn != Connected && (k.State == Enabled || k.State == Disabled) {
		return Unavailable
	}
	return k.State
}
