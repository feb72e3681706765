package lifecycle

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/audit"
)

// owedPrefix begins the names of settings that remember what the audit log was not told of: an event's name, and the key's
// ARN (DeleteKey, orphans with it), the material's id, or (events that the value holds whole) its time and the key's ARN.
const owedPrefix = "lifecycle.audit-owed/"

// owedIf names the event that is owed to the audit log because of an error.
func owedIf(err error, event string) string {
	if err == nil {
		return ""
	}
	return event
}

// owedEvent is a service event about a key as it is kept until the audit log takes it.
type owedEvent struct {
	Time    time.Time       `json:"time"`
	Name    string          `json:"name"`
	Region  string          `json:"region"`
	KeyARN  string          `json:"key_arn"`
	Details json.RawMessage `json:"details"`
}

// tellKey records what the appliance did to a key by itself. It has happened, so that a log that can't be written does not
// undo it: then the log gets the event later.
func (s *Service) tellKey(ctx context.Context, e *audit.Event) {
	ctx = context.WithoutCancel(ctx)
	err := s.cfg.Audit.Append(ctx, e, true)
	if err == nil {
		return
	}
	s.cfg.Logger.ErrorContext(ctx, "an event is not in the audit log yet", "event", e.Name, "key", e.Resources[0].ARN, "error", err)
	owed := owedEvent{Time: e.Time, Name: e.Name, Region: e.Region, KeyARN: e.Resources[0].ARN, Details: e.ServiceEventDetails.JSON()}
	text, err := json.Marshal(owed)
	if err == nil {
		name := fmt.Sprintf("%s%s/%015d/%s", owedPrefix, e.Name, e.Time.UnixMilli(), owed.KeyARN)
		err = s.update(ctx, func(tx keystore.Tx) error { return tx.PutSetting(name, text) })
	}
	if err != nil {
		s.cfg.Logger.ErrorContext(ctx, "an event is lost to the audit log", "event", e.Name, "key", owed.KeyARN, "error", err)
	}
}

// payDebts tells the audit log what it could not be told when it happened.
func (s *Service) payDebts(ctx context.Context) error {
	var names []string
	err := s.cfg.DB.View(ctx, func(tx keystore.Tx) (err error) {
		names, err = tx.Settings(owedPrefix)
		return err
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		event, about, _ := strings.Cut(strings.TrimPrefix(name, owedPrefix), "/")
		switch event {
		case audit.EventDeleteKey:
			err = s.payDeletion(ctx, about)
		case audit.EventRotateKey, audit.EventDeleteExpired, audit.EventSynchronize:
			err = s.payEvent(ctx, name)
		default:
			err = s.payMaterial(ctx, event, about)
		}
		if err == nil {
			err = s.update(ctx, func(tx keystore.Tx) error { return tx.DeleteSetting(name) })
		}
		if err != nil {
			return fmt.Errorf("tell the audit log what it is owed: %w", err)
		}
	}
	return nil
}

func (s *Service) payDeletion(ctx context.Context, arn string) error {
	var t *keystore.Tombstone
	var rows []*keystore.Material
	err := s.cfg.DB.View(ctx, func(tx keystore.Tx) error {
		tombs, err := tx.Tombstones(arn, 1)
		if err != nil {
			return err
		}
		if len(tombs) > 0 {
			t = tombs[0]
		}
		rows, err = tx.MaterialsOfKey(arn)
		return err
	})
	if err != nil {
		return err
	}
	if t != nil {
		// A replica can be made and deleted again under the same ARN: the rows are those of its last life.
		rows = slices.DeleteFunc(rows, func(m *keystore.Material) bool { return !m.DeletedAt.Equal(t.DeletedAt) })
	}
	return s.tell(ctx, t, rows)
}

// payEvent appends an event that a setting holds.
func (s *Service) payEvent(ctx context.Context, name string) error {
	var owed owedEvent
	err := s.cfg.DB.View(ctx, func(tx keystore.Tx) error {
		text, err := tx.Setting(name)
		if err != nil {
			return err
		}
		return json.Unmarshal(text, &owed)
	})
	if err != nil {
		return err
	}
	details, err := audit.RawObject(owed.Details)
	if err != nil {
		return err
	}
	return s.cfg.Audit.Append(ctx, &audit.Event{
		Type: audit.ServiceEvent, Time: owed.Time, Name: owed.Name, Region: owed.Region, Account: s.cfg.Account,
		ServiceEventDetails: details, Resources: []audit.Resource{{ARN: owed.KeyARN, Account: s.cfg.Account, Type: "AWS::KMS::Key"}},
	}, true)
}

func (s *Service) payMaterial(ctx context.Context, event, id string) error {
	mid, err := keystore.ParseMaterialID(id)
	if err != nil {
		return err
	}
	var m *keystore.Material
	err = s.cfg.DB.View(ctx, func(tx keystore.Tx) (err error) {
		m, err = tx.Material(mid)
		return err
	})
	if err != nil {
		return err
	}
	return s.cfg.Audit.Append(ctx, audit.MaterialEvent(event, m, s.cfg.Account, s.now()), true)
}
