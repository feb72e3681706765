package appliance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/audit"
	"github.com/strongroom/strongroom/xks/proxy"
	"github.com/strongroom/strongroom/xks/tokenkeys"
)

// openProxy makes the XKS proxy with its realms, where the configuration has a listener for it.
func (a *Appliance) openProxy(ctx context.Context) error {
	if a.cfg.XKS.Listen == "" {
		return nil
	}
	a.proxy = proxy.New(proxy.Config{Recorder: proxy.RecorderFunc(a.recordXKS), Logger: a.log, Deadline: a.opts.ProxyDeadline})
	return a.openRealms(ctx)
}

// externalKeys opens the external keys of a token; realms on one token share them, and address them in one way.
func (a *Appliance) externalKeys(ctx context.Context, name string, how tokenkeys.Addressing) (*tokenkeys.Keys, error) {
	if k := a.xksKeys[name]; k != nil {
		return k, nil
	}
	t, err := a.openToken(ctx, name)
	if err != nil {
		return nil, err
	}
	a.onClose(t)
	k, err := tokenkeys.Open(ctx, tokenkeys.Config{
		Token: t, Addressing: how, Store: &settings{a.db, "xks.key/" + t.Info().Serial + "/"}, Random: random(), Now: a.clock.Now,
		Logger: a.log,
	})
	if err != nil {
		return nil, err
	}
	a.onClose(closerFunc(func() error { k.Close(); return nil }))
	a.xksKeys[name] = k
	return k, nil
}

// settings keeps what a token cannot keep of external keys in the database.
type settings struct {
	db     keystore.DB
	prefix string
}

// Load implements tokenkeys.Store.
func (s *settings) Load(ctx context.Context) (map[string]tokenkeys.Settings, error) {
	out := map[string]tokenkeys.Settings{}
	err := s.db.View(ctx, func(tx keystore.Tx) error {
		names, err := tx.Settings(s.prefix)
		if err != nil {
			return err
		}
		for _, name := range names {
			text, err := tx.Setting(name)
			if err != nil {
				return err
			}
			var row tokenkeys.Settings
			if err := json.Unmarshal(text, &row); err != nil {
				return fmt.Errorf("setting %s: %w", name, err)
			}
			out[strings.TrimPrefix(name, s.prefix)] = row
		}
		return nil
	})
	return out, err
}

// Save implements tokenkeys.Store.
func (s *settings) Save(ctx context.Context, keyID string, row tokenkeys.Settings) error {
	text, err := json.Marshal(row)
	if err != nil {
		return err
	}
	return s.db.Update(ctx, func(tx keystore.Tx) error { return tx.PutSetting(s.prefix+keyID, text) })
}

// Remove implements tokenkeys.Store.
func (s *settings) Remove(ctx context.Context, keyID string) error {
	err := s.db.Update(ctx, func(tx keystore.Tx) error { return tx.DeleteSetting(s.prefix + keyID) })
	if errors.Is(err, keystore.ErrNoRow) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// EnsureXKSKeys makes the external keys of these ids for a realm where they are missing.
func (a *Appliance) EnsureXKSKeys(ctx context.Context, realm string, ids []string) error {
	a.realms.mu.Lock()
	defer a.realms.mu.Unlock()
	r, err := a.realms.find(realm)
	if err != nil {
		return err
	}
	return ensureKeys(ctx, r.keys, ids)
}

func ensureKeys(ctx context.Context, keys *tokenkeys.Keys, ids []string) error {
	select {
	case <-keys.Ready(): // what the pass sees need not be searched for
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for _, id := range ids {
		k, err := keys.Describe(ctx, id)
		switch {
		case err == nil && k.Problem == "":
			continue
		case err == nil:
			// A crash left its row without an object.
			if err := keys.Delete(ctx, id); err != nil {
				return err
			}
		case !errors.Is(err, tokenkeys.ErrNotFound):
			return err
		}
		if _, err := keys.Create(ctx, id, tokenkeys.UseBoth); err != nil {
			return err
		}
	}
	return nil
}

// recordXKS writes an answered proxy request to the audit log and counts it.
func (a *Appliance) recordXKS(ctx context.Context, e proxy.Event) error {
	a.metrics.XKSRequest(e.Realm, string(e.Operation), string(e.ErrorName), e.Duration)
	if !e.Authenticated {
		return nil // whoever has no credential must not be able to fill the log
	}
	details := audit.Object{}.String("realm", e.Realm).String("keyId", e.KeyID).String("accessKeyId", e.AccessKeyID).
		Int("status", int64(e.Status)).String("awsPrincipalArn", e.Metadata.PrincipalARN).String("kmsKeyArn", e.Metadata.KMSKeyARN).
		String("kmsOperation", e.Metadata.KMSOperation).String("kmsRequestId", e.Metadata.KMSRequestID).
		String("kmsViaService", e.Metadata.ViaService).Int("durationMicroseconds", e.Duration.Microseconds())
	if e.Metadata.SourceVPC != "" {
		details = details.String("awsSourceVpc", e.Metadata.SourceVPC)
	}
	if e.Metadata.SourceVPCE != "" {
		details = details.String("awsSourceVpce", e.Metadata.SourceVPCE)
	}
	if e.Rule != "" {
		details = details.String("rule", e.Rule)
	}
	err := a.audit.Append(ctx, &audit.Event{
		Type: audit.ServiceEvent, Time: e.Time, Name: "XksProxy" + string(e.Operation), Region: a.cfg.Regions[0],
		Account: a.cfg.Account, SourceIP: e.Remote, ErrorCode: string(e.ErrorName), ServiceEventDetails: details,
		ReadOnly: true,
	}, false)
	if err != nil {
		a.metrics.AuditError()
	}
	return err
}
