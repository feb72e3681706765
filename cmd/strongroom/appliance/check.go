package appliance

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/strongroom/strongroom/cmd/strongroom/config"
	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/pkcs11"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/state/sqlite"
)

// Check finds what is wrong with the things that a configuration names: files, secrets, modules, tokens. It changes
// nothing and logs in to no token, so that no PIN is ever tried.
func Check(ctx context.Context, c *config.Config) []config.Problem {
	k := &check{cfg: c}
	k.files(ctx)
	for i := range c.Tokens {
		k.token(ctx, i)
	}
	if err := pkcs11.CloseAll(ctx); err != nil {
		k.fail("tokens", "modules cannot be closed: %v", err)
	}
	return k.problems
}

type check struct {
	cfg      *config.Config
	problems []config.Problem
}

func (k *check) fail(field, format string, args ...any) {
	k.problems = append(k.problems, k.cfg.Problem(field, format, args...))
}

func (k *check) files(ctx context.Context) {
	info, err := os.Stat(k.cfg.DataDir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		k.fail("data_dir", "%s is not there; run strongroom init", k.cfg.DataDir)
	case err != nil:
		k.fail("data_dir", "%v", err)
	case !info.IsDir():
		k.fail("data_dir", "%s is no directory", k.cfg.DataDir)
	case info.Mode().Perm()&0o077 != 0:
		k.fail("data_dir", "%s is open to others (mode %04o); run: chmod 700 %s", k.cfg.DataDir, info.Mode().Perm(), k.cfg.DataDir)
	default:
		k.ownFiles()
	}
	for field, t := range map[string]*config.TLS{"kms": k.cfg.KMS.TLS, "xks": k.cfg.XKS.TLS} {
		if t == nil || field == "xks" && k.cfg.XKS.Listen == "" || t.Certificate == "" || t.Key == "" {
			continue
		}
		if _, _, err := certificates(field, t); err != nil {
			k.fail(field+".tls", "%v", err)
		}
	}
	for i, cl := range k.cfg.Clusters {
		if cl.TrustAnchor == "" {
			continue
		}
		if err := certificateFile(cl.TrustAnchor); err != nil {
			k.fail(fmt.Sprintf("clusters[%d].trust_anchor", i), "%v", err)
		}
	}
	if _, _, err := externalTLS(&k.cfg.ExternalStores); err != nil {
		k.fail("external_stores", "%v", err)
	}
	for i, r := range k.cfg.XKS.Realms {
		for j, cr := range r.Credentials {
			if cr.Secret.Validate() != nil {
				continue
			}
			if _, err := cr.Secret.Resolve(); err != nil && !k.replaced(ctx, r.Name, cr.AccessKeyID) {
				k.fail(fmt.Sprintf("xks.realms[%d].credentials[%d].secret", i, j), "%v", err)
			}
		}
	}
}

// ownFiles looks at what the appliance itself keeps.
func (k *check) ownFiles() {
	if _, err := os.Stat(k.cfg.Database.Path); errors.Is(err, fs.ErrNotExist) {
		k.fail("database.path", "%s is not there; run strongroom init", k.cfg.Database.Path)
	}
	if err := writable(k.cfg.DataDir); err != nil {
		k.fail("data_dir", "%v", err)
	}
	for _, path := range databaseFiles(k.cfg.Database.Path) {
		if err := writable(path); err != nil {
			k.fail("database.path", "%v", err)
		}
	}
	if err := writable(k.cfg.Audit.Dir); err != nil {
		k.fail("audit.dir", "%v", err)
	}
}

// replaced tells whether a credential of the configuration was removed at run time, or got another secret: then nothing
// reads its secret any more. A database that cannot be read has its own problem, and is no reason to believe it.
func (k *check) replaced(ctx context.Context, realm, accessKeyID string) bool {
	db, err := sqlite.Open(ctx, k.cfg.Database.Path, sqlite.Options{ReadOnly: true})
	if err != nil {
		return false
	}
	err = db.View(ctx, func(tx keystore.Tx) error {
		_, err := tx.Setting(credentialRows(realm) + accessKeyID)
		return err
	})
	return errors.Join(err, db.Close()) == nil
}

func certificateFile(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return fmt.Errorf("%s has no PEM certificate", path)
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// token looks for a token in its module.
func (k *check) token(ctx context.Context, i int) {
	t := &k.cfg.Tokens[i]
	field := fmt.Sprintf("tokens[%d]", i)
	if t.PIN != "" && t.PIN.Validate() == nil {
		if _, err := t.PIN.Resolve(); err != nil {
			k.fail(field+".pin", "%v", err)
		}
	}
	if t.Profile != "" {
		if _, ok := hsm.LookupProfile(t.Profile); !ok {
			k.fail(field+".profile", "there is no profile %q; leave it empty, or see strongroom token profiles", t.Profile)
		}
	}
	lib, err := pkcs11.Library(t.Module, t.ModuleArgs)
	if err != nil {
		k.fail(field+".module", "%v", err)
		return
	}
	present, err := lib.Tokens(ctx)
	if err != nil {
		k.fail(field+".module", "%v", err)
		return
	}
	label, serial := t.Label, t.Serial
	if t.URI != "" {
		sel, err := hsm.ParseURI(t.URI)
		if err != nil {
			return
		}
		label, serial = sel.Label, sel.Serial
	}
	k.present(field, label, serial, present)
}

func (k *check) present(field, label, serial string, present []hsm.TokenEntry) {
	n := 0
	for _, p := range present {
		if (label == "" || p.Label == label) && (serial == "" || p.Serial == serial) && p.Initialized {
			n++
			if !p.UserPINSet {
				k.fail(field, "token %q has no user PIN", p.Label)
			}
		}
	}
	switch {
	case n == 0:
		k.fail(field, "the module has no token with label %q and serial %q; it has %d tokens, see strongroom token list", label, serial, len(present))
	case n > 1:
		k.fail(field, "%d tokens fit label %q and serial %q; add the serial", n, label, serial)
	}
}
