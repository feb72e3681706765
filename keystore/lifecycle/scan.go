package lifecycle

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// ScanFilter narrows a scan to one store; the zero filter takes every store of every Region.
type ScanFilter struct {
	Region string
	// StoreID of a custom key store; "" takes the default stores too.
	StoreID keystore.StoreID
}

// ScanReport is where tokens and ledger disagree.
type ScanReport struct {
	Unknown  []UnknownObject `json:"unknown"`  // objects on tokens that no row names
	Missing  []*Orphan       `json:"missing"`  // live rows whose object is not on its token
	Orphaned []*Orphan       `json:"orphaned"` // rows of keys that are gone, whose object is still there
	Gone     []*Orphan       `json:"gone"`     // orphaned rows whose object is no longer there
	Scanned  []ScannedToken  `json:"scanned"`
	Skipped  []SkippedToken  `json:"skipped"` // stores whose token could not be looked at
}

// UnknownObject is what is on a token under one CKA_ID and label that no row names.
type UnknownObject struct {
	Region  string           `json:"region"`
	StoreID keystore.StoreID `json:"store_id"`
	keystore.TokenIdentity
	CKAID         string   `json:"cka_id"`
	Label         string   `json:"label"`
	ObjectClasses []string `json:"object_classes"`
	KeyType       string   `json:"key_type"`
	CheckValue    string   `json:"check_value"`
	// Why is set where a row has the id and means another object.
	Why string `json:"why,omitempty"`
}

// ScannedToken is a token that was looked at.
type ScannedToken struct {
	Region  string           `json:"region"`
	StoreID keystore.StoreID `json:"store_id"`
	keystore.TokenIdentity
	Objects   int `json:"objects"`   // key objects of any kind
	Appliance int `json:"appliance"` // the appliance's own among them ("strongroom:…")
}

// SkippedToken is a store that could not be looked at.
type SkippedToken struct {
	Region  string           `json:"region"`
	StoreID keystore.StoreID `json:"store_id"`
	Reason  string           `json:"reason"`
}

// applianceLabel begins the labels of the appliance's own objects (design section 5).
const applianceLabel = "strongroom:"

// place is a store to look at.
type place struct {
	region string
	store  keystore.StoreID
	b      backend.Backend
	found  map[string]*UnknownObject   // by CKA_ID and label
	byID   map[string][]*UnknownObject // the same by CKA_ID
}

func (p *place) key(id []byte, label string) string { return hex.EncodeToString(id) + " " + label }

// Scan compares the tokens with the ledger both ways. It changes nothing, and reports the stores that it could not look at.
func (o *Orphans) Scan(ctx context.Context, f ScanFilter) (*ScanReport, error) {
	r := &ScanReport{Unknown: []UnknownObject{}, Missing: []*Orphan{}, Orphaned: []*Orphan{}, Gone: []*Orphan{},
		Scanned: []ScannedToken{}, Skipped: []SkippedToken{}}
	start := o.s.now()
	ids, err := o.s.stores(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("scan: %w", err)
	}
	// Tokens first: a row is written before its object, so that whatever is seen there has its row when the ledger is read.
	var places []*place
	for _, p := range ids {
		if err := o.lookAt(ctx, p, r); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			r.Skipped = append(r.Skipped, SkippedToken{Region: p.region, StoreID: p.store, Reason: reasonOf(err)})
			continue
		}
		places = append(places, p)
	}
	err = o.s.eachMaterial(ctx, func(m *keystore.Material) error { return o.compare(ctx, places, m, start, r) })
	if err != nil {
		return nil, fmt.Errorf("scan: %w", err)
	}
	r.takeUnknown(places)
	return r, nil
}

// stores lists where to look: the default store of every Region, and every custom key store.
func (s *Service) stores(ctx context.Context, f ScanFilter) ([]*place, error) {
	var places []*place
	for _, region := range s.cfg.Regions {
		if (f.Region == "" || f.Region == region) && f.StoreID == "" {
			places = append(places, &place{region: region})
		}
	}
	err := s.cfg.DB.View(ctx, func(tx keystore.Tx) error {
		const batch = 100
		for _, region := range s.cfg.Regions {
			for after := keystore.StoreID(""); f.Region == "" || f.Region == region; {
				stores, err := tx.Stores(region, after, batch)
				if err != nil {
					return err
				}
				for _, store := range stores {
					after = store.ID
					if (f.StoreID == "" || f.StoreID == store.ID) && store.Type == keystore.StoreCloudHSM {
						places = append(places, &place{region: region, store: store.ID})
					}
				}
				if len(stores) < batch {
					break
				}
			}
		}
		return nil
	})
	return places, err
}

// lookAt lists the objects of one store's token.
func (o *Orphans) lookAt(ctx context.Context, p *place, r *ScanReport) error {
	b, conn := o.s.cfg.Resolver.Resolve(p.region, p.store)
	if b == nil {
		return fmt.Errorf("the key store is %s and its token out of reach", conn)
	}
	scanner, ok := b.(backend.Scanner)
	if !ok {
		return errors.New("the key store can't be searched")
	}
	p.b, p.found, p.byID = b, map[string]*UnknownObject{}, map[string][]*UnknownObject{}
	seen := ScannedToken{Region: p.region, StoreID: p.store, TokenIdentity: b.Identity()}
	err := scanner.Objects(ctx, func(obj backend.Object) error {
		seen.Objects++
		if strings.HasPrefix(obj.Label, applianceLabel) {
			seen.Appliance++
			// What imports and transfers make has rows like any key's; the rest (keys of the vault, health probes) has none.
			if obj.Label != wrappingLabel && obj.Label != carryLabel {
				return nil
			}
		}
		k := p.key(obj.ID, obj.Label)
		u := p.found[k]
		if u == nil {
			u = &UnknownObject{Region: p.region, StoreID: p.store, TokenIdentity: seen.TokenIdentity,
				CKAID: hex.EncodeToString(obj.ID), Label: obj.Label, KeyType: obj.KeyType, CheckValue: obj.CheckValue}
			p.found[k] = u
			p.byID[u.CKAID] = append(p.byID[u.CKAID], u)
		}
		u.ObjectClasses = append(u.ObjectClasses, obj.Class)
		return nil
	})
	if err != nil {
		return err
	}
	r.Scanned = append(r.Scanned, seen)
	return nil
}

// compare holds one row against what was found. What looks wrong is looked at once more, since keys come and go while a
// scan runs.
func (o *Orphans) compare(ctx context.Context, places []*place, m *keystore.Material, start time.Time, r *ScanReport) error {
	if m.Kind == keystore.MaterialNotOurs {
		return nil
	}
	there := false
	var home *place
	for _, p := range places {
		k := p.key(m.ID[:], m.Label)
		if p.region == m.Region && p.store == m.StoreID {
			home = p
		}
		for _, u := range p.byID[m.ID.String()] {
			if u.Label != m.Label {
				u.Why = "the ledger has this CKA_ID with the label " + m.Label
			}
		}
		if p.found[k] != nil {
			there = true
			delete(p.found, k)
			if home == nil {
				home = p // the same token behind another store, or a token that moved
			}
		}
	}
	if home == nil {
		return nil
	}
	// A row that changed since the scan began says nothing about what was seen.
	switch m.State {
	case keystore.MaterialLive:
		if !there && m.CreatedAt.Before(start) && o.confirm(ctx, home, m, false) {
			r.Missing = append(r.Missing, orphanOf(m))
		}
	case keystore.MaterialOrphaned:
		switch {
		case there && o.confirm(ctx, home, m, true):
			r.Orphaned = append(r.Orphaned, orphanOf(m))
		case !there && o.confirm(ctx, home, m, false):
			r.Gone = append(r.Gone, orphanOf(m))
		}
	case keystore.MaterialDestroyed, keystore.MaterialResolved, keystore.MaterialCondemned, keystore.MaterialPlanned:
		if there && !o.s.busy.has(m.KeyARN) && o.confirm(ctx, home, m, true) {
			r.Orphaned = append(r.Orphaned, orphanOf(m))
		}
	}
	return nil
}

// confirm looks again whether the object of a row is there, and whether the row is as it was.
func (o *Orphans) confirm(ctx context.Context, p *place, m *keystore.Material, there bool) bool {
	if f, ok := p.b.(backend.Finder); ok {
		objects, err := f.Find(ctx, handleOf(m, nil))
		same := slices.ContainsFunc(objects, func(o backend.Object) bool { return o.Label == m.Label })
		if err != nil || same != there {
			return false
		}
	}
	var now *keystore.Material
	err := o.s.cfg.DB.View(ctx, func(tx keystore.Tx) (err error) {
		now, err = tx.Material(m.ID)
		return err
	})
	return err == nil && now.State == m.State
}

// takeUnknown reports what no row took. A token behind several stores is reported once.
func (r *ScanReport) takeUnknown(places []*place) {
	reported := map[string]bool{}
	for _, p := range places {
		token := fmt.Sprint(p.b.Identity())
		for k, u := range p.found {
			if !reported[token+k] {
				reported[token+k] = true
				slices.Sort(u.ObjectClasses)
				r.Unknown = append(r.Unknown, *u)
			}
		}
	}
	slices.SortFunc(r.Unknown, func(a, b UnknownObject) int {
		return cmp.Or(cmp.Compare(a.Region, b.Region), cmp.Compare(a.StoreID, b.StoreID), cmp.Compare(a.Label, b.Label),
			cmp.Compare(a.CKAID, b.CKAID))
	})
}
