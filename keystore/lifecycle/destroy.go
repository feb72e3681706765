package lifecycle

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// fate is what became of a condemned or orphaned row's objects.
type fate struct {
	state     keystore.MaterialState
	reason    string
	note      string
	attempted bool
	cause     error // of an orphan
}

// errNotYet: a key store is about to be connected. The one attempt at what is on its token is made when that has come to an end:
// each start of the appliance would make orphans otherwise.
var errNotYet = errors.New("it is about to be connected")

// early tells whether the attempt came before anybody can know whether the token is there.
func (f fate) early() bool {
	return errors.Is(f.cause, errNotYet) || errors.Is(f.cause, backend.ErrOpening)
}

// orphan is the fate of what could not be destroyed.
func orphan(cause error) fate {
	return fate{state: keystore.MaterialOrphaned, reason: reasonOf(cause), attempted: true, cause: cause}
}

// destroy tries, once, to destroy what a row names. It changes no row.
func (s *Service) destroy(ctx context.Context, m *keystore.Material) fate {
	if m.Kind == keystore.MaterialNotOurs {
		return fate{state: keystore.MaterialResolved, note: "external keys are never destroyed"}
	}
	b, err := s.tokenOf(ctx, m)
	if err != nil {
		return orphan(err)
	}
	there, err := look(ctx, b, m)
	if err != nil {
		return orphan(err)
	}
	if !there {
		return fate{state: keystore.MaterialDestroyed, attempted: true}
	}
	if _, err := b.DestroyKey(ctx, handleOf(m, nil)); err != nil {
		return orphan(err)
	}
	return fate{state: keystore.MaterialDestroyed, attempted: true}
}

// errNoStore: the custom key store of a row was deleted, and no other store is on its token.
var errNoStore = errors.New("the custom key store does not exist any more")

// tokenOf gives the backend on the token of a row: that of its store or, where that custom key store was deleted, of
// whichever store is on the same token now.
func (s *Service) tokenOf(ctx context.Context, m *keystore.Material) (backend.Backend, error) {
	b, conn := s.cfg.Resolver.Resolve(m.Region, m.StoreID)
	if b != nil {
		return b, nil
	}
	if m.StoreID == "" {
		return nil, errors.New("the token of the default key store can't be reached")
	}
	_, err := s.cfg.DB.LookupStore(ctx, m.Region, m.StoreID)
	switch {
	case err == nil && conn == keystore.Connecting:
		return nil, fmt.Errorf("custom key store %s is %s: %w", m.StoreID, conn, errNotYet)
	case err == nil:
		return nil, fmt.Errorf("custom key store %s is %s", m.StoreID, conn)
	case !errors.Is(err, keystore.ErrNoRow):
		return nil, err
	}
	places, err := s.stores(ctx, ScanFilter{})
	if err != nil {
		return nil, err
	}
	for _, p := range places {
		if b, _ := s.cfg.Resolver.Resolve(p.region, p.store); b != nil && m.Token.Serial != "" && b.Identity() == m.Token {
			return b, nil
		}
	}
	return nil, fmt.Errorf("%w: %s", errNoStore, m.StoreID)
}

// errOtherObject: an object has the CKA_ID that was looked for, and is not the one that the ledger means.
var errOtherObject = errors.New("there is another object with this CKA_ID")

// look tells whether the object of a row is on the token behind b. An error means that it can't be told, or that there is
// something else in the object's place.
func look(ctx context.Context, b backend.Backend, m *keystore.Material) (there bool, err error) {
	f, ok := b.(backend.Finder)
	if !ok {
		return false, errors.New("the key store can't be searched")
	}
	objects, err := f.Find(ctx, handleOf(m, nil))
	if err != nil {
		return false, err
	}
	if len(objects) == 0 {
		if now := b.Identity(); m.Token.Serial != "" && now.Serial != m.Token.Serial {
			return false, fmt.Errorf("the object was made on the token with serial %s; the key store is on the token with serial %s now, which has no such object",
				m.Token.Serial, now.Serial)
		}
		return false, nil
	}
	for _, o := range objects {
		if why := differs(&o, m); why != "" {
			return false, fmt.Errorf("%w: %s", errOtherObject, why)
		}
	}
	return true, nil
}

// differs says what tells an object apart from the one that a row names; "" where nothing does.
func differs(o *backend.Object, m *keystore.Material) string {
	switch {
	case hex.EncodeToString(o.ID) != m.ID.String():
		return fmt.Sprintf("its CKA_ID is %x", o.ID)
	case o.Label != m.Label:
		return fmt.Sprintf("its label is %q", o.Label)
	case m.KeyType != "" && o.KeyType != "" && o.KeyType != m.KeyType:
		return fmt.Sprintf("its type is %s", o.KeyType)
	case m.CheckValue != "" && o.CheckValue != "" && o.CheckValue != m.CheckValue:
		return fmt.Sprintf("its key check value is %s", o.CheckValue)
	}
	return ""
}

// reasonOf gives what the token said, for people; it keeps the CKR name.
func reasonOf(err error) string {
	var f *keystore.Fault
	if errors.As(err, &f) && f.Cause != nil {
		return f.Cause.Error()
	}
	return err.Error()
}

// apply writes a fate into a row.
func (f *fate) apply(m *keystore.Material, now time.Time) error {
	if f.state != m.State {
		if err := m.Advance(f.state); err != nil {
			return err
		}
	}
	m.Reason, m.Note = f.reason, f.note
	if f.attempted {
		m.Attempts++
	}
	if f.state == keystore.MaterialDestroyed || f.state == keystore.MaterialResolved {
		m.EndedAt = now
	}
	return nil
}
