package audit

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// Names of the service events. The first four are AWS's; the others are Strongroom's own.
const (
	EventDeleteKey          = "DeleteKey"
	EventRotateKey          = "RotateKey"
	EventDeleteExpired      = "DeleteExpiredKeyMaterial"
	EventSynchronize        = "SynchronizeMultiRegionKey"
	EventPendingDeletionUse = "UseOfKeyPendingDeletion"
	EventOrphaned           = "KeyMaterialOrphaned"
	EventOrphanDestroyed    = "OrphanedKeyMaterialDestroyed"
	EventOrphanResolved     = "OrphanedKeyMaterialResolved"
)

// PendingDeletionUse is the event of an attempt to use a key whose deletion is scheduled, by somebody who may use it.
func PendingDeletionUse(c *keystore.Caller, k *keystore.Key, a keystore.Action, now time.Time) *Event {
	d := Object{}.String("keyId", k.ARN()).String("operation", string(a)).String("keyState", string(k.State))
	if !k.DeletionDate.IsZero() {
		d = d.Time("deletionDate", k.DeletionDate)
	}
	return &Event{
		Type: ServiceEvent, Time: now, Name: EventPendingDeletionUse, Region: k.Region, Account: k.Account, Caller: c,
		ServiceEventDetails: d, ReadOnly: true, Resources: []Resource{KeyResource(k)},
	}
}

// DeleteKey is the event of a key's real deletion, with what became of its backing material: rows are the key's ledger
// rows in the states that they have now or are about to have (key-lifecycle.md, "Audit events").
func DeleteKey(t *keystore.Tombstone, account string, rows []*keystore.Material, now time.Time) *Event {
	e := &Event{
		Type: ServiceEvent, Time: now, Name: EventDeleteKey, Region: t.Region, Account: account,
		Resources: []Resource{{ARN: t.KeyARN, Account: account, Type: "AWS::KMS::Key"}},
	}
	if t.StoreID == "" && !slices.ContainsFunc(rows, failed) {
		return e
	}
	d := Object{}
	if t.StoreID != "" {
		d = d.String("customKeyStoreId", string(t.StoreID))
	}
	if t.ClusterID != "" {
		d = d.String("clusterId", t.ClusterID)
	}
	e.AdditionalEventData = d.String("backingKeys", backingKeys(rows, false)).
		String("backingKeysDeletionStatus", backingKeys(rows, true))
	return e
}

// RotateKey is the event of new material that became current; rotationType is AUTOMATIC or ON_DEMAND.
func RotateKey(k *keystore.Key, m *keystore.KeyMaterial, rotationType string, now time.Time) *Event {
	d := Object{}.String("keyId", string(k.ID)).String("rotationType", rotationType).String("keyOrigin", string(k.Origin))
	if m != nil {
		d = d.String("currentBackingKeyId", m.KeyMaterialID())
	}
	return &Event{
		Type: ServiceEvent, Time: now, Name: EventRotateKey, Region: k.Region, Account: k.Account,
		ServiceEventDetails: d, Resources: []Resource{KeyResource(k)},
	}
}

// KeyServiceEvent is the event of something that the appliance did to a key by itself, with the key's id in its details.
func KeyServiceEvent(name string, k *keystore.Key, now time.Time) *Event {
	return &Event{
		Type: ServiceEvent, Time: now, Name: name, Region: k.Region, Account: k.Account,
		ServiceEventDetails: Object{}.String("keyId", string(k.ID)), Resources: []Resource{KeyResource(k)},
	}
}

func failed(m *keystore.Material) bool { return m.State == keystore.MaterialOrphaned }

// backingKeys is JSON text, which CloudTrail has inside a string. A PKCS#11 object handle means nothing once its session is
// over, so that the CKA_ID stands for both.
func backingKeys(rows []*keystore.Material, status bool) string {
	type entry struct {
		Handle string `json:"keyHandle"`
		ID     string `json:"backingKeyId"`
		Status string `json:"deletionStatus,omitempty"`
	}
	list := make([]entry, 0, len(rows))
	for _, m := range rows {
		if m.Kind != keystore.MaterialOnToken {
			continue
		}
		e := entry{Handle: m.ID.String(), ID: m.ID.String()}
		switch {
		case status && failed(m):
			e.Status = "FAILURE"
		case status:
			e.Status = "SUCCESS"
		}
		list = append(list, e)
	}
	text, err := json.Marshal(list)
	if err != nil {
		return "[]"
	}
	return string(text)
}

// MaterialEvent is a service event about one ledger row: an orphan that came to be, was destroyed or was resolved.
func MaterialEvent(name string, m *keystore.Material, account string, now time.Time) *Event {
	d := Object{}.String("ckaId", m.ID.String()).String("label", m.Label).
		String("tokenLabel", m.Token.Label).String("tokenSerial", m.Token.Serial)
	if m.StoreID != "" {
		d = d.String("customKeyStoreId", string(m.StoreID))
	}
	if m.ClusterID != "" {
		d = d.String("clusterId", m.ClusterID)
	}
	if m.Reason != "" {
		d = d.String("reason", m.Reason)
	}
	if m.Note != "" {
		d = d.String("note", m.Note)
	}
	d = d.Int("attempts", int64(m.Attempts))
	return &Event{
		Type: ServiceEvent, Time: now, Name: name, Region: m.Region, Account: account, ServiceEventDetails: d,
		Resources: []Resource{{ARN: m.KeyARN, Account: account, Type: "AWS::KMS::Key"}},
	}
}

// BackingKey is what CreateKey's additionalEventData says of a key in a custom key store; the zero Object for other keys.
func BackingKey(k *keystore.Key) Object {
	if k.StoreID == "" || k.Current() == nil {
		return Object{}
	}
	id := k.Current().ID.String()
	text := Object{}.String("keyHandle", id).String("backingKeyId", id)
	return Object{}.String("backingKey", string(text.JSON()))
}
