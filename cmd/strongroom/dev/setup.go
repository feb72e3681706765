package dev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/strongroom/strongroom/cmd/strongroom/config"
	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/pkcs11"
)

// Options of a dev appliance.
type Options struct {
	Dir                         string // absolute; made if it is missing
	KMSAddr, XKSAddr, AdminAddr string
	Regions                     []string
	Account                     string
	Module                      string // SoftHSM2's library; "" looks for it
	// ExternalTimeout bounds one attempt of a call to an external key store's proxy; 0 is AWS's 250 ms. The appliance's own
	// proxy takes no longer.
	ExternalTimeout time.Duration
}

// Setup is a directory with all that a dev appliance needs.
type Setup struct {
	Dir    string
	Config *config.Config
	Clock  *Clock

	module   string
	kept     *kept
	deadline time.Duration
}

// Names of tokens in the configuration and in dev.json.
const (
	xksToken  = "xks"
	xksToken2 = "xks-2"
)

func clusterToken(i int) string { return fmt.Sprintf("cluster-%d", i+1) }

// EnvFile is the path of dev.env.
func (s *Setup) EnvFile() string { return filepath.Join(s.Dir, "dev.env") }

// ProxyDeadline is how long a call of the appliance's own XKS proxy may take, so that whoever waits for ExternalTimeout is
// answered; 0 where nothing was said of that.
func (s *Setup) ProxyDeadline() time.Duration { return s.deadline }

func (s *Setup) file(name string) string { return filepath.Join(s.Dir, name) }

// Prepare makes what is missing in the directory and keeps what is there. The caller holds the directory's lock.
func Prepare(ctx context.Context, o Options) (*Setup, error) {
	s := &Setup{Dir: o.Dir, deadline: o.ExternalTimeout * 4 / 5} // as 200 ms are to KMS's 250
	if err := o.plausible(); err != nil {
		return nil, err
	}
	if err := RemoveEnv(s.EnvFile()); err != nil {
		return nil, err
	}
	var err error
	if s.module, err = FindModule(o.Module); err != nil {
		return nil, err
	}
	if s.kept, err = openKept(s.file("dev.json"), o.Account, o.Regions); err != nil {
		return nil, err
	}
	if s.Clock, err = OpenClock(s.file("clock")); err != nil {
		return nil, err
	}
	if err := s.softhsm(ctx); err != nil {
		return nil, err
	}
	if err := s.certificates(); err != nil {
		return nil, err
	}
	return s, s.configure(o)
}

// softhsm writes SoftHSM2's configuration and makes the tokens that are missing.
func (s *Setup) softhsm(ctx context.Context) error {
	tokens, conf := s.file("tokens"), s.file("softhsm2.conf")
	if strings.ContainsAny(s.Dir, "#\n") {
		return fmt.Errorf("the directory %q has a # or a line break in its name, which SoftHSM2 cannot read; use another --dir", s.Dir)
	}
	if err := os.MkdirAll(tokens, 0o700); err != nil {
		return err
	}
	if err := rescueTokens(tokens, s.file("tokens.kept")); err != nil {
		return err
	}
	text := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n", tokens)
	if err := writeFile(conf, []byte(text)); err != nil {
		return err
	}
	if err := os.Setenv("SOFTHSM2_CONF", conf); err != nil {
		return err
	}
	lib, err := pkcs11.Library(s.module, "")
	if err != nil {
		return fmt.Errorf("load %s: %w", s.module, err)
	}
	present, err := lib.Tokens(ctx)
	if err != nil {
		return fmt.Errorf("list tokens of %s: %w", s.module, err)
	}
	for _, name := range s.kept.names() {
		if err := s.ensureToken(ctx, lib, name, present); err != nil {
			return err
		}
	}
	// The tokens that were made just now are kept from the first login on.
	return rescueTokens(tokens, s.file("tokens.kept"))
}

func (s *Setup) ensureToken(ctx context.Context, lib *hsm.Library, name string, present []hsm.TokenEntry) error {
	t := s.kept.Tokens[name]
	state := tokenIn(present, t.Label)
	switch {
	case state == tokenReady:
	case t.Made:
		return fmt.Errorf("token %q of this directory is gone, and its keys with it; put %s back, or start with another --dir", t.Label, s.file("tokens"))
	default:
		// A crash may have left a token without a PIN under this label: it is empty, and stays aside.
		for ; state == tokenBlankPIN; state = tokenIn(present, t.Label) {
			t.Label += "x"
		}
		if err := s.kept.save(); err != nil {
			return err
		}
		if _, err := lib.InitToken(ctx, t.Label, hsm.NewSecret(t.SOPIN), hsm.NewSecret(t.PIN)); err != nil {
			return fmt.Errorf("make token %q: %w", t.Label, err)
		}
	}
	if !t.Made {
		t.Made = true
		if err := s.kept.save(); err != nil {
			return err
		}
	}
	pin := s.pinFile(name)
	if exists(pin) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(pin), 0o700); err != nil {
		return err
	}
	return writeFile(pin, []byte(t.PIN+"\n"))
}

func (s *Setup) pinFile(name string) string { return s.file(filepath.Join("secrets", name+".pin")) }

type tokenState int

const (
	tokenMissing tokenState = iota
	tokenBlankPIN
	tokenReady
)

func tokenIn(present []hsm.TokenEntry, label string) tokenState {
	for _, t := range present {
		if t.Label == label && t.Initialized {
			if t.UserPINSet {
				return tokenReady
			}
			return tokenBlankPIN
		}
	}
	return tokenMissing
}

func (s *Setup) certificates() error {
	if err := os.MkdirAll(s.file("tls"), 0o700); err != nil {
		return err
	}
	err := xksCertificate(s.file("tls/xks-ca.pem"), s.file("tls/xks.pem"), s.file("tls/xks.key"))
	for i, c := range s.kept.Clusters {
		err = errors.Join(err, trustAnchor(s.trustAnchor(i), c.ID))
	}
	if err != nil {
		return fmt.Errorf("certificates in %s: %w", s.file("tls"), err)
	}
	for _, r := range s.realms() {
		if exists(r.secretFile) {
			continue
		}
		if err := writeFile(r.secretFile, []byte(r.secretKey+"\n")); err != nil {
			return err
		}
	}
	return nil
}

func (s *Setup) trustAnchor(i int) string {
	return s.file(fmt.Sprintf("tls/trust-anchor-%d.pem", i+1))
}

// configure writes the configuration that the appliance runs with.
func (s *Setup) configure(o Options) error {
	c := &config.Config{
		Account: s.kept.Account, Regions: o.Regions, DataDir: s.Dir,
		KMS:      config.Listener{Listen: o.KMSAddr, Insecure: true},
		Admin:    config.Admin{Listen: o.AdminAddr},
		Database: config.Database{Path: s.file("strongroom.db")},
		Audit:    config.Audit{Dir: s.file("audit"), MaxFileMB: 100},
		Log:      config.Log{Level: "warn", Format: "text"},

		DefaultStores:  map[string]string{},
		Compatibility:  config.Compatibility{XksEndpointPorts: true},
		ExternalStores: config.ExternalStores{CAFiles: []string{s.file("tls/xks-ca.pem")}, Timeout: int(o.ExternalTimeout / time.Millisecond)},
	}
	for _, name := range s.kept.names() {
		t := config.Token{Name: name, Module: s.module, Label: s.kept.Tokens[name].Label}
		if !s.kept.isCluster(name) {
			t.PIN = config.SecretRef("file:" + s.pinFile(name))
		}
		c.Tokens = append(c.Tokens, t)
	}
	for _, region := range o.Regions {
		c.DefaultStores[region] = region
	}
	for i, cl := range s.kept.Clusters {
		c.Clusters = append(c.Clusters, config.Cluster{ID: cl.ID, Token: clusterToken(i), TrustAnchor: s.trustAnchor(i)})
	}
	c.XKS = config.XKS{
		Listener: config.Listener{Listen: o.XKSAddr, TLS: &config.TLS{Certificate: s.file("tls/xks.pem"), Key: s.file("tls/xks.key")}},
	}
	for _, r := range s.realms() {
		c.XKS.Realms = append(c.XKS.Realms, config.Realm{
			Name: r.Name, PathPrefix: "/" + r.Name, Token: r.token, AllKeys: true,
			Credentials: []config.Credential{{AccessKeyID: r.accessKey, Secret: config.SecretRef("file:" + r.secretFile)}},
		})
	}
	s.Config = c
	if problems := c.Validate(); len(problems) > 0 {
		return &config.Invalid{Path: "strongroom dev", Problems: problems}
	}
	return nil
}

// FindModule gives the path of SoftHSM2's library.
func FindModule(given string) (string, error) {
	if given == "" {
		given = os.Getenv("STRONGROOM_PKCS11_MODULE")
	}
	if given != "" {
		abs, err := filepath.Abs(given)
		if err != nil {
			return "", err
		}
		if _, err := os.Stat(abs); err != nil {
			return "", fmt.Errorf("PKCS#11 module: %w", err)
		}
		return abs, nil
	}
	for _, pattern := range []string{
		"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/*/softhsm/libsofthsm2.so", "/usr/lib64/libsofthsm2.so",
		"/usr/lib64/pkcs11/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so", "/opt/homebrew/lib/softhsm/libsofthsm2.so",
	} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[0], nil
		}
	}
	return "", errors.New("SoftHSM2 is not installed; run apt-get install softhsm2, or name its library with --module")
}
