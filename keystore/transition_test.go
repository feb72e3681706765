package keystore_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/strongroom/strongroom/keystore"
)

func material(role keystore.RotationRole, present bool) keystore.KeyMaterial {
	return keystore.KeyMaterial{ID: keystore.MaterialID{1}, State: role, Imported: present}
}

func TestNext(t *testing.T) {
	const (
		here = true
		gone = false
	)
	plain := &keystore.Key{Origin: keystore.OriginKMS}
	with := func(m ...keystore.KeyMaterial) *keystore.Key {
		return &keystore.Key{Origin: keystore.OriginExternal, Materials: m}
	}
	primary := func(regions ...string) *keystore.Key {
		return &keystore.Key{Origin: keystore.OriginKMS, MultiRegion: &keystore.MultiRegion{Primary: true, ReplicaRegions: regions}}
	}
	replica := &keystore.Key{Origin: keystore.OriginKMS, MultiRegion: &keystore.MultiRegion{ReplicaRegions: []string{"eu-west-1"}}}
	current, old, waiting := keystore.MaterialCurrent, keystore.MaterialNonCurrent, keystore.MaterialPendingRotation
	tests := []struct {
		name   string
		action keystore.Action
		key    *keystore.Key
		from   keystore.State
		to     keystore.State // "" means no change
	}{
		{"enable", "EnableKey", plain, "Disabled", "Enabled"},
		{"enable again", "EnableKey", plain, "Enabled", "Enabled"},
		{"disable", "DisableKey", plain, "Enabled", "Disabled"},
		{"disable again", "DisableKey", plain, "Disabled", "Disabled"},
		{"enable while deleting", "EnableKey", plain, "PendingDeletion", ""},
		{"delete", "ScheduleKeyDeletion", plain, "Enabled", "PendingDeletion"},
		{"delete disabled", "ScheduleKeyDeletion", plain, "Disabled", "PendingDeletion"},
		{"delete without material", "ScheduleKeyDeletion", with(), "PendingImport", "PendingDeletion"},
		{"delete while creating", "ScheduleKeyDeletion", replica, "Creating", "PendingDeletion"},
		{"delete twice", "ScheduleKeyDeletion", plain, "PendingDeletion", ""},
		{"delete while updating", "ScheduleKeyDeletion", primary("eu-west-1"), "Updating", ""},
		{"delete primary with replicas", "ScheduleKeyDeletion", primary("eu-west-1"), "Enabled", "PendingReplicaDeletion"},
		{"delete lone primary", "ScheduleKeyDeletion", primary(), "Enabled", "PendingDeletion"},
		{"delete replica", "ScheduleKeyDeletion", replica, "Enabled", "PendingDeletion"},
		{"cancel", "CancelKeyDeletion", plain, "PendingDeletion", "Disabled"},
		{"cancel primary", "CancelKeyDeletion", primary("eu-west-1"), "PendingReplicaDeletion", "Disabled"},
		{"cancel with material", "CancelKeyDeletion", with(material(current, here)), "PendingDeletion", "Disabled"},
		{"cancel without material", "CancelKeyDeletion", with(material(current, gone)), "PendingDeletion", "PendingImport"},
		{"cancel before first import", "CancelKeyDeletion", with(), "PendingDeletion", "PendingImport"},
		{"cancel nothing", "CancelKeyDeletion", plain, "Enabled", ""},
		{"first import", "ImportKeyMaterial", with(material(current, here)), "PendingImport", "Enabled"},
		{"import one of two", "ImportKeyMaterial", with(material(old, gone), material(current, here)), "PendingImport", "PendingImport"},
		{"import the last of two", "ImportKeyMaterial", with(material(old, here), material(current, here)), "PendingImport", "Enabled"},
		{"only unbound material", "ImportKeyMaterial", with(material(waiting, here)), "PendingImport", "PendingImport"},
		{"reimport enabled", "ImportKeyMaterial", with(material(current, here)), "Enabled", ""},
		{"reimport disabled", "ImportKeyMaterial", with(material(current, here)), "Disabled", ""},
		{"drop material", "DeleteImportedKeyMaterial", with(material(current, gone)), "Enabled", "PendingImport"},
		{"drop material, disabled", "DeleteImportedKeyMaterial", with(material(current, gone)), "Disabled", "PendingImport"},
		{"drop earlier material", "DeleteImportedKeyMaterial", with(material(old, gone), material(current, here)), "Enabled", "PendingImport"},
		{"drop material that waits", "DeleteImportedKeyMaterial", with(material(current, here)), "Enabled", ""},
		{"drop while deleting", "DeleteImportedKeyMaterial", with(material(current, gone)), "PendingDeletion", ""},
		{"move the primary", "UpdatePrimaryRegion", primary("eu-west-1"), "Enabled", "Updating"},
		{"encrypt", "Encrypt", plain, "Enabled", ""},
		{"describe", "DescribeKey", plain, "PendingDeletion", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := tt.key.Clone()
			k.State = tt.from
			got, changed := keystore.Next(tt.action, k)
			assert.Equal(t, tt.to != "", changed)
			if tt.to == "" {
				tt.to = tt.from
			}
			assert.Equal(t, tt.to, got)
		})
	}
}

func TestAfter(t *testing.T) {
	tests := []struct {
		name   string
		event  keystore.KeyEvent
		origin keystore.Origin
		from   keystore.State
		to     keystore.State
		ok     bool
	}{
		{"replica made", keystore.EventReplicaMade, keystore.OriginKMS, keystore.Creating, keystore.Enabled, true},
		{"imported replica made", keystore.EventReplicaMade, keystore.OriginExternal, keystore.Creating, keystore.PendingImport, true},
		{"replica deleted meanwhile", keystore.EventReplicaMade, keystore.OriginKMS, keystore.PendingDeletion, keystore.PendingDeletion, false},
		{"primary changed", keystore.EventPrimaryChanged, keystore.OriginKMS, keystore.Updating, keystore.Enabled, true},
		{"last replica gone", keystore.EventLastReplicaDeleted, keystore.OriginKMS, keystore.PendingReplicaDeletion, keystore.PendingDeletion, true},
		{"deletion cancelled meanwhile", keystore.EventLastReplicaDeleted, keystore.OriginKMS, keystore.Disabled, keystore.Disabled, false},
		{"expired", keystore.EventMaterialExpired, keystore.OriginExternal, keystore.Disabled, keystore.PendingImport, true},
		{"expired while deleting", keystore.EventMaterialExpired, keystore.OriginExternal, keystore.PendingDeletion, keystore.PendingDeletion, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := keystore.After(tt.event, &keystore.Key{Origin: tt.origin, State: tt.from})
			assert.Equal(t, tt.ok, ok)
			assert.Equal(t, tt.to, got)
		})
	}
}

// TestNextNeverLeavesADeniedState: where the state table denies an action to every key, there is no transition either.
func TestNextNeverLeavesADeniedState(t *testing.T) {
	for _, a := range keystore.KeyActions() {
		for _, s := range keystore.States() {
			for _, sample := range samples() {
				k, conn := sample.put(s)
				if s == keystore.Unavailable || keystore.Admit(a, k, conn) == nil {
					continue
				}
				_, changed := keystore.Next(a, k)
				if changed && sample.can(s) && keystore.Permit(a, s).Verdict == keystore.Deny {
					t.Errorf("%s moves a %s key (%s), which the state table denies", a, s, sample.name)
				}
			}
		}
	}
}
