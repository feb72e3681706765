package appliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// When each credential of the XKS proxy was used last is kept in the database, so that a restart in the middle of a change
// of credentials does not hide which one KMS signs with. It is written once a minute and at the end: a crash loses a minute.

const usesEvery = time.Minute

// useRows is the prefix of a realm's rows.
func useRows(realm string) string { return "xks.used/" + url.PathEscape(realm) + "/" }

// loadUses reads when the credentials of a realm were used before this start.
func (a *Appliance) loadUses(ctx context.Context, r *servedRealm) error {
	r.used = map[string]time.Time{}
	prefix := useRows(r.config.Name)
	return a.db.View(ctx, func(tx keystore.Tx) error {
		names, err := tx.Settings(prefix)
		if err != nil {
			return err
		}
		for _, name := range names {
			text, err := tx.Setting(name)
			if err != nil {
				return err
			}
			at, err := time.Parse(time.RFC3339, string(text))
			if err != nil {
				return fmt.Errorf("setting %s: %w", name, err)
			}
			r.used[strings.TrimPrefix(name, prefix)] = at
		}
		return nil
	})
}

// lastUses gives when each credential of a realm was used last, zero for never. The caller holds the lock of the realms.
func (a *Appliance) lastUses(r *servedRealm) map[string]time.Time {
	uses := map[string]time.Time{}
	for _, c := range r.credentials {
		uses[c.AccessKeyID] = r.used[c.AccessKeyID]
	}
	for _, status := range a.proxy.Realms() {
		if status.URIPath != r.uriPath() {
			continue
		}
		for _, c := range status.Credentials {
			if c.LastUsed.After(uses[c.AccessKeyID]) {
				uses[c.AccessKeyID] = c.LastUsed
			}
		}
	}
	return uses
}

// runUses writes uses at every interval until ctx ends. The last ones are written when the appliance is closed.
func (a *Appliance) runUses(ctx context.Context) error {
	tick := time.NewTicker(usesEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := a.writeUses(ctx); err != nil && ctx.Err() == nil {
			// They stay known, and are written at the next interval.
			a.log.LogAttrs(ctx, slog.LevelError, "the last uses of XKS credentials are not written", slog.Any("error", err))
		}
	}
}

// writeUses writes the uses that are not written yet.
func (a *Appliance) writeUses(ctx context.Context) error {
	a.realms.mu.Lock()
	defer a.realms.mu.Unlock()
	for _, r := range a.realms.list {
		fresh := map[string]time.Time{}
		for id, at := range a.lastUses(r) {
			if at = at.Truncate(time.Second); at.After(r.used[id]) {
				fresh[id] = at
			}
		}
		if len(fresh) == 0 {
			continue
		}
		err := a.db.Update(ctx, func(tx keystore.Tx) error {
			for id, at := range fresh {
				if err := tx.PutSetting(useRows(r.config.Name)+id, []byte(at.UTC().Format(time.RFC3339))); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for id, at := range fresh {
			r.used[id] = at
		}
	}
	return nil
}

// forgetUse removes what is kept of a credential's use, so that one that gets its id later begins anew.
func (a *Appliance) forgetUse(ctx context.Context, r *servedRealm, accessKeyID string) error {
	delete(r.used, accessKeyID)
	err := a.db.Update(ctx, func(tx keystore.Tx) error { return tx.DeleteSetting(useRows(r.config.Name) + accessKeyID) })
	if errors.Is(err, keystore.ErrNoRow) {
		return nil
	}
	return err
}
