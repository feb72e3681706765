package appliance

import (
	"context"
	"slices"
	"time"

	"github.com/strongroom/strongroom/cmd/strongroom/admin"
	"github.com/strongroom/strongroom/cmd/strongroom/config"
	"github.com/strongroom/strongroom/cmd/strongroom/metrics"
	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmstore"
	"github.com/strongroom/strongroom/keystore"
)

// maxStores bounds what status lists of a Region; AWS's quota is ten.
const maxStores = 1000

// Status is the appliance at a glance.
func (a *Appliance) Status(ctx context.Context) (*admin.Status, error) {
	s := &admin.Status{
		Version: a.opts.Version, Account: a.cfg.Account, Regions: a.cfg.Regions, DataDir: a.cfg.DataDir, AuditDir: a.cfg.Audit.Dir,
		Started: a.started, Clock: a.clock.Now(), Listeners: []admin.Listener{}, Stores: []admin.Store{},
		Keys: map[string]int{}, Material: map[string]int{}, Problems: a.problems(ctx),
	}
	s.Ready = len(s.Problems) == 0
	if s.Problems == nil {
		s.Problems = []string{}
	}
	for _, l := range a.listeners {
		s.Listeners = append(s.Listeners, admin.Listener{Name: l.name, Address: l.net.Addr().String(), TLS: l.tls})
	}
	err := a.db.View(ctx, func(tx keystore.Tx) error { return a.stateStatus(tx, s) })
	if err != nil {
		return nil, err
	}
	s.Orphans = s.Material[string(keystore.MaterialOrphaned)]
	s.Tokens, err = a.tokenStates(ctx)
	return s, err
}

func (a *Appliance) stateStatus(tx keystore.Tx, s *admin.Status) error {
	states, err := tx.CountKeysByState()
	if err != nil {
		return err
	}
	for state, n := range states {
		s.Keys[string(state)] = n
	}
	rows, err := tx.CountMaterials()
	if err != nil {
		return err
	}
	for state, n := range rows {
		s.Material[string(state)] = n
	}
	next, err := tx.NextDeletion()
	if err != nil {
		return err
	}
	if !next.IsZero() {
		s.NextDeletion = &next
	}
	stores, err := tx.Stores("", "", maxStores)
	if err != nil {
		return err
	}
	for _, st := range stores {
		n, err := tx.KeysInStore(st.Region, st.ID)
		if err != nil {
			return err
		}
		s.Stores = append(s.Stores, admin.Store{
			ID: string(st.ID), Name: st.Name, Type: string(st.Type), Region: st.Region, State: string(st.Conn),
			ErrorCode: string(st.ConnError), Cause: st.ConnCause, Cluster: st.ClusterID, Keys: n,
		})
	}
	return nil
}

// tokenStates describes every token of the configuration, those that are not open too.
func (a *Appliance) tokenStates(ctx context.Context) ([]admin.Token, error) {
	out := []admin.Token{}
	for i := range a.cfg.Tokens {
		c := &a.cfg.Tokens[i]
		t := admin.Token{Name: c.Name, Module: c.Module, Label: c.Label, Serial: c.Serial, Use: a.uses(c.Name)}
		open, err := a.openOf(ctx, c)
		if err != nil {
			return nil, err
		}
		if open == nil {
			t.Error = "not in use: no store on it is connected"
		} else {
			describeToken(&t, open)
		}
		out = append(out, t)
	}
	return out, nil
}

func describeToken(t *admin.Token, open *hsm.Token) {
	info, stats := open.Info(), open.Stats()
	t.Label, t.Serial, t.Manufacturer, t.Model, t.Profile = info.Label, info.Serial, info.Manufacturer, info.Model, info.Profile
	t.Healthy, t.Error, t.Sessions, t.InUse = stats.Healthy, stats.LastError, stats.Sessions, stats.Borrowed
}

// uses lists what a token of the configuration is for.
func (a *Appliance) uses(name string) []string {
	uses := []string{}
	for _, region := range a.cfg.Regions {
		if a.cfg.DefaultStores[region] == name {
			uses = append(uses, region)
		}
	}
	for _, cl := range a.cfg.Clusters {
		if cl.Token == name {
			uses = append(uses, cl.ID)
		}
	}
	for _, r := range a.cfg.XKS.Realms {
		if r.Token == name {
			uses = append(uses, "realm "+r.Name)
		}
	}
	return uses
}

// openOf gives the open handle on a token of the configuration, nil where there is none.
func (a *Appliance) openOf(ctx context.Context, c *config.Token) (*hsm.Token, error) {
	for _, region := range a.cfg.Regions {
		if a.cfg.DefaultStores[region] == c.Name {
			return a.defaults[region].Token(), nil
		}
	}
	if t := a.tokens[c.Name]; t != nil {
		return t, nil
	}
	i := slices.IndexFunc(a.cfg.Clusters, func(cl config.Cluster) bool { return cl.Token == c.Name })
	if i < 0 {
		return nil, nil
	}
	var open *hsm.Token
	err := a.db.View(ctx, func(tx keystore.Tx) error {
		stores, err := tx.Stores("", "", maxStores)
		for _, st := range stores {
			if st.ClusterID != a.cfg.Clusters[i].ID {
				continue
			}
			b, _ := a.manager.Resolve(st.Region, st.ID)
			if h, ok := b.(*hsmstore.Backend); ok {
				open = h.Token()
			}
		}
		return err
	})
	return open, err
}

// snapshot is what /metrics looks up at each scrape.
func (a *Appliance) snapshot(ctx context.Context) (*metrics.Snapshot, error) {
	s := &admin.Status{Keys: map[string]int{}, Material: map[string]int{}}
	err := a.db.View(ctx, func(tx keystore.Tx) error { return a.stateStatus(tx, s) })
	if err != nil {
		return nil, err
	}
	snap := &metrics.Snapshot{Keys: s.Keys, Material: s.Material, Stores: map[string]map[string]int{}}
	for _, st := range s.Stores {
		if snap.Stores[st.Region] == nil {
			snap.Stores[st.Region] = map[string]int{}
		}
		snap.Stores[st.Region][st.State]++
	}
	if s.NextDeletion != nil {
		snap.SweeperLag = max(0, a.clock.Now().Sub(*s.NextDeletion)).Truncate(time.Millisecond)
	}
	for i := range a.cfg.Tokens {
		t, err := a.openOf(ctx, &a.cfg.Tokens[i])
		if err != nil {
			return nil, err
		}
		if t == nil {
			continue
		}
		info, stats := t.Info(), t.Stats()
		snap.Tokens = append(snap.Tokens, metrics.TokenState{Label: info.Label, Serial: info.Serial, Healthy: stats.Healthy,
			Sessions: stats.Sessions, InUse: stats.Borrowed, Stuck: stats.Stuck, Logins: stats.Epoch})
	}
	return snap, nil
}

// DefaultToken gives the token behind a Region's default store, for measurements.
func (a *Appliance) DefaultToken(region string) *hsm.Token { return a.defaults[region].Token() }
