package keystore

import "slices"

// KeyEvent is something that befalls a key without a caller's action.
type KeyEvent string

// The events.
const (
	EventReplicaMade        KeyEvent = "ReplicaMade"        // the replica's material has arrived
	EventPrimaryChanged     KeyEvent = "PrimaryChanged"     // UpdatePrimaryRegion is done, on either key
	EventLastReplicaDeleted KeyEvent = "LastReplicaDeleted" // the primary's own waiting period begins
	EventMaterialExpired    KeyEvent = "MaterialExpired"    // imported material is gone by its date
)

// step is a row of the transition tables: from one of these stored states, if the key is so, to that state.
type step struct {
	from []State
	when func(k *Key) bool // nil: always
	to   State
}

var (
	settled = []State{Enabled, Disabled}
	resting = []State{Enabled, Disabled, PendingImport, Creating}
)

// actionSteps: how actions change the stored state of their key; the first step that fits counts (key-lifecycle.md
// sections 3 to 7). Enabling and disabling change the stored state of an Unavailable key too, which callers see later.
var actionSteps = map[Action][]step{
	ActionEnableKey:  {{from: settled, to: Enabled}},
	ActionDisableKey: {{from: settled, to: Disabled}},
	ActionScheduleKeyDeletion: {
		{from: resting, when: hasReplicas, to: PendingReplicaDeletion},
		{from: resting, to: PendingDeletion},
	},
	// Never Enabled. A key that has lost imported material meanwhile, or never had any, has to wait for it again.
	ActionCancelKeyDeletion: {
		{from: []State{PendingDeletion, PendingReplicaDeletion}, when: lacksMaterial, to: PendingImport},
		{from: []State{PendingDeletion, PendingReplicaDeletion}, to: Disabled},
	},
	ActionImportKeyMaterial: {
		{from: []State{PendingImport}, when: lacksMaterial, to: PendingImport},
		{from: []State{PendingImport}, to: Enabled},
	},
	ActionDeleteImportedKeyMaterial: {{from: []State{Enabled, Disabled, PendingImport}, when: lacksMaterial, to: PendingImport}},
	ActionUpdatePrimaryRegion:       {{from: []State{Enabled}, to: Updating}},
}

var eventSteps = map[KeyEvent][]step{
	EventReplicaMade: {
		{from: []State{Creating}, when: lacksMaterial, to: PendingImport},
		{from: []State{Creating}, to: Enabled},
	},
	EventPrimaryChanged:     {{from: []State{Updating}, to: Enabled}},
	EventLastReplicaDeleted: {{from: []State{PendingReplicaDeletion}, to: PendingDeletion}},
	EventMaterialExpired:    {{from: []State{Enabled, Disabled, PendingImport}, when: lacksMaterial, to: PendingImport}},
}

// Next gives the stored state that an admitted action leaves its key in; false where it does not change the state. For the
// actions on imported material k is the key with its materials as they are afterwards.
func Next(a Action, k *Key) (State, bool) { return walk(actionSteps[a], k) }

// After gives the stored state that an event leaves a key in; false where it does not change the state. For MaterialExpired
// k is the key with its materials as they are afterwards.
func After(e KeyEvent, k *Key) (State, bool) { return walk(eventSteps[e], k) }

func walk(steps []step, k *Key) (State, bool) {
	for _, s := range steps {
		if slices.Contains(s.from, k.State) && (s.when == nil || s.when(k)) {
			return s.to, true
		}
	}
	return k.State, false
}

func hasReplicas(k *Key) bool {
	return k.MultiRegion != nil && k.MultiRegion.Primary && len(k.MultiRegion.ReplicaRegions) > 0
}

// lacksMaterial: an EXTERNAL key without material, or with a permanently associated material that is not on the token.
// Material that waits for a rotation is not permanently associated (key-lifecycle.md section 5).
func lacksMaterial(k *Key) bool {
	if k.Origin != OriginExternal {
		return false
	}
	bound := 0
	for i := range k.Materials {
		m := &k.Materials[i]
		if m.State != MaterialCurrent && m.State != MaterialNonCurrent {
			continue
		}
		if !m.Imported {
			return true
		}
		bound++
	}
	return bound == 0
}
