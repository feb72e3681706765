package appliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/strongroom/strongroom/cmd/strongroom/config"
	"github.com/strongroom/strongroom/cmd/strongroom/principals"
	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmstore"
	"github.com/strongroom/strongroom/hsm/pkcs11"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/audit"
	"github.com/strongroom/strongroom/state/sqlite"
)

func (a *Appliance) openDatabase(ctx context.Context) error {
	for _, path := range databaseFiles(a.cfg.Database.Path) {
		if err := writable(path); err != nil {
			return fmt.Errorf("database: %w", err)
		}
	}
	db, err := sqlite.Open(ctx, a.cfg.Database.Path, sqlite.Options{Create: a.opts.Create})
	if err != nil {
		return err
	}
	a.db = db
	a.onClose(db)
	return nil
}

// tokenConfig says how a token of the configuration is opened.
func (a *Appliance) tokenConfig(t *config.Token) (hsm.Config, error) {
	c := hsm.Config{
		Selector: hsm.Selector{Module: t.Module, InitArgs: t.ModuleArgs, Label: t.Label, Serial: t.Serial},
		Profile:  t.Profile, MaxSessions: t.MaxSessions, VerifyOnToken: t.Verify == config.VerifyToken, Logger: a.log, Observer: a.metrics,
	}
	if t.URI != "" {
		sel, err := hsm.ParseURI(t.URI)
		if err != nil {
			return c, fmt.Errorf("token %s: %w", t.Name, err)
		}
		sel.Module, sel.InitArgs = t.Module, t.ModuleArgs
		c.Selector = sel
	}
	if t.PIN == "" {
		return c, nil
	}
	pin, err := t.PIN.Resolve()
	if err != nil {
		return c, fmt.Errorf("PIN of token %s: %w", t.Name, err)
	}
	c.PIN = hsm.NewSecret(pin)
	return c, nil
}

// openToken opens a token of the configuration, once.
func (a *Appliance) openToken(ctx context.Context, name string) (*hsm.Token, error) {
	if t := a.tokens[name]; t != nil {
		return t, nil
	}
	c, err := a.tokenConfig(a.cfg.Token(name))
	if err != nil {
		return nil, err
	}
	t, err := pkcs11.Open(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open token %s (%s): %w", name, c.URI(), err)
	}
	a.tokens[name] = t
	return t, nil
}

// openTokens opens the default store of every Region. Regions may share a token; each has its own handle on it.
func (a *Appliance) openTokens(ctx context.Context) error {
	a.onClose(closerFunc(func() error { return pkcs11.CloseAll(context.Background()) }))
	for _, region := range a.cfg.Regions {
		name := a.cfg.DefaultStores[region]
		c, err := a.tokenConfig(a.cfg.Token(name))
		if err != nil {
			return err
		}
		t, err := pkcs11.Open(ctx, c)
		if err != nil {
			return fmt.Errorf("open token %s (%s): %w", name, c.URI(), err)
		}
		b := hsmstore.NewDefault(t).AllSpecs()
		a.defaults[region] = b
		a.onClose(b)
	}
	return nil
}

// primeWait bounds how long the start waits until the tokens' keys are known. Past it the appliance serves, and the first
// use of a key may cost a search of its token.
const primeWait = 15 * time.Second

// primeTokens finds the keys of all tokens in one pass over each, so that no first use has to search for its key.
func (a *Appliance) primeTokens(ctx context.Context) error {
	var passes []<-chan struct{}
	for _, b := range a.defaults {
		passes = append(passes, b.Token().Prime())
	}
	for _, k := range a.xksKeys {
		passes = append(passes, k.Ready())
	}
	wait := time.NewTimer(primeWait)
	defer wait.Stop()
	for _, done := range passes {
		select {
		case <-done:
		case <-wait.C:
			a.log.LogAttrs(ctx, slog.LevelWarn, "the tokens' keys are still being listed; until that is over, the first use of a key takes longer")
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// openVault opens the vault on the token of the first Region. Adding a Region before it would move it, so the vault's
// own record decides: a key that is not on this token is an error that names the token.
func (a *Appliance) openVault(ctx context.Context) error {
	region := a.cfg.Regions[0]
	c := hsmstore.VaultConfig{DB: a.db, Backend: a.defaults[region], Region: region, Clock: a.clock, Random: random()}
	open := hsmstore.OpenVault
	if a.opts.Create {
		open = hsmstore.EnsureVault
	}
	v, err := open(ctx, c)
	if errors.Is(err, hsmstore.ErrNoVault) {
		return errors.New("the database has no vault; run strongroom init first")
	}
	if err != nil {
		return fmt.Errorf("vault: %w; the first Region's token must be the one that the appliance was initialised with", err)
	}
	a.vault = v
	return nil
}

func (a *Appliance) openAudit(context.Context) error {
	if err := os.MkdirAll(a.cfg.Audit.Dir, 0o700); err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	if err := writable(a.cfg.Audit.Dir); err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	f, err := audit.Open(a.cfg.Audit.Dir, audit.Options{
		Clock: a.clock, Account: a.cfg.Account, Region: a.cfg.Regions[0],
		MaxSize: int64(a.cfg.Audit.MaxFileMB) << 20, Logger: a.log,
	})
	if err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	a.audit = f
	a.onClose(f)
	return nil
}

func (a *Appliance) openPrincipals(ctx context.Context) error {
	r, err := principals.Open(ctx, principals.Config{
		DB: a.db, Vault: a.vault, Clock: a.clock, Random: random(), Account: a.cfg.Account,
		CheckPolicy: func(text string) error { _, err := access.ValidateIdentityPolicy(text); return err },
	})
	if err != nil {
		return err
	}
	a.principals = r
	_, err = r.Show(ctx, "root")
	switch {
	case err == nil && a.opts.Fresh:
		return fmt.Errorf("%s is initialised already; nothing was changed", a.cfg.DataDir)
	case errors.Is(err, principals.ErrUnknown) && a.opts.Create:
		_, _, err = r.Create(ctx, keystore.PrincipalRoot, "", nil)
	case errors.Is(err, principals.ErrUnknown):
		return errors.New("the database has no root principal; run strongroom init first")
	}
	return err
}

// RootKey gives an access key of the account root with its secret: what `init` shows once and `dev` gives to its users.
func (a *Appliance) RootKey(ctx context.Context) (principals.NewKey, error) {
	v, err := a.principals.Show(ctx, "root")
	if err != nil {
		return principals.NewKey{}, err
	}
	for _, k := range v.Keys {
		if _, secret, err := a.principals.Credential(ctx, k.AccessKeyID); err == nil {
			return principals.NewKey{AccessKeyID: k.AccessKeyID, Secret: string(secret)}, nil
		}
	}
	return principals.NewKey{}, errors.New("the account root is disabled")
}
