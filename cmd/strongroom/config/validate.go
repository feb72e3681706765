package config

import (
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/strongroom/strongroom/hsm"
)

// Problem is one thing that is wrong, and what to do about it.
type Problem struct {
	Field   string // path of the field: tokens[1].pin; "" where the file could not be decoded
	Line    int    // of the field or of what should hold it; 0 where it is not known
	Message string
}

// String is one line for people.
func (p Problem) String() string {
	text := p.Message
	if p.Field != "" {
		text = p.Field + ": " + text
	}
	if p.Line > 0 {
		text = fmt.Sprintf("line %d: %s", p.Line, text)
	}
	return text
}

// Invalid is the error of a configuration that can be read and says something wrong.
type Invalid struct {
	Path     string
	Problems []Problem
}

// Error lists every problem, one a line.
func (e *Invalid) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = e.Path + ": " + p.String()
	}
	return strings.Join(lines, "\n")
}

// The forms that AWS gives to account numbers, Region names and cluster ids (API reference, CreateCustomKeyStore), and
// the form of a proxy path before "/kms/xks/v1".
var (
	accountForm = regexp.MustCompile(`^\d{12}$`)
	regionForm  = regexp.MustCompile(`^[a-z]{2,3}(-[a-z]+)+-\d+$`)
	clusterForm = regexp.MustCompile(`^cluster-[2-7a-zA-Z]{11,16}$`)
	prefixForm  = regexp.MustCompile(`^(/[a-zA-Z0-9_-]+)+$`)
	nameForm    = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$`)
)

// checker collects problems.
type checker struct {
	c        *Config
	problems []Problem
}

func (v *checker) fail(field, format string, args ...any) {
	v.problems = append(v.problems, v.c.Problem(field, format, args...))
}

// Problem makes a problem with a field, with its line.
func (c *Config) Problem(field, format string, args ...any) Problem {
	return Problem{Field: field, Line: lineOf(c.root, field), Message: fmt.Sprintf(format, args...)}
}

// Validate finds everything in the configuration that is wrong by itself, in the order of the file's sections. Whether
// files, tokens and addresses are there is for the appliance to find out.
func (c *Config) Validate() []Problem {
	v := &checker{c: c}
	v.frame()
	v.listeners()
	v.tokens()
	v.clusters()
	v.realms()
	v.externalStores()
	v.rest()
	return v.problems
}

func (v *checker) frame() {
	c := v.c
	if !accountForm.MatchString(c.Account) {
		v.fail("account", "%q is no account; write 12 digits in quotes", c.Account)
	}
	if len(c.Regions) == 0 {
		v.fail("regions", "name at least one Region, such as us-east-1")
	}
	for i, r := range c.Regions {
		field := fmt.Sprintf("regions[%d]", i)
		switch {
		case !regionForm.MatchString(r):
			v.fail(field, "%q does not have the form of a Region, such as us-east-1", r)
		case slices.Index(c.Regions, r) < i:
			v.fail(field, "%s is named twice", r)
		}
	}
	if !filepath.IsAbs(c.DataDir) {
		v.fail("data_dir", "%q is not an absolute path", c.DataDir)
	}
	if c.Database.Path != "" && !filepath.IsAbs(c.Database.Path) {
		v.fail("database.path", "%q is not an absolute path", c.Database.Path)
	}
	if c.Audit.Dir != "" && !filepath.IsAbs(c.Audit.Dir) {
		v.fail("audit.dir", "%q is not an absolute path", c.Audit.Dir)
	}
	if c.Audit.MaxFileMB < 1 {
		v.fail("audit.max_file_mb", "%d is too small; write at least 1", c.Audit.MaxFileMB)
	}
}

func (v *checker) listeners() {
	c := v.c
	if c.KMS.Listen == "" {
		v.fail("kms.listen", "is missing; write an address such as 127.0.0.1:8080")
	}
	v.listener("kms", c.KMS)
	v.listener("xks", c.XKS.Listener)
	if c.Admin.Listen != "" {
		v.address("admin.listen", c.Admin.Listen)
	}
	if c.XKS.Listen != "" && c.XKS.TLS == nil {
		v.fail("xks.tls", "is missing; the XKS specification allows HTTPS only")
	}
	v.clientNames()
	used := map[string]string{}
	for _, l := range [][2]string{{"kms.listen", c.KMS.Listen}, {"admin.listen", c.Admin.Listen}, {"xks.listen", c.XKS.Listen}} {
		if _, port, err := net.SplitHostPort(l[1]); err != nil || port == "0" {
			continue
		}
		if other, taken := used[l[1]]; taken {
			v.fail(l[0], "%s is also %s; give each its own address", l[1], other)
		}
		used[l[1]] = l[0]
	}
}

// clientNames: KMS's certificate is of a public CA, so that a proxy must pin its name as well.
func (v *checker) clientNames() {
	if t := v.c.XKS.TLS; t != nil && (t.ClientCA == "") != (len(t.ClientNames) == 0) {
		v.fail("xks.tls.client_names", "client_ca and client_names go together; write both or neither")
	}
	if t := v.c.KMS.TLS; t != nil && len(t.ClientNames) > 0 {
		v.fail("kms.tls.client_names", "is for xks only; remove it")
	}
}

func (v *checker) listener(name string, l Listener) {
	if l.Listen == "" {
		return
	}
	v.address(name+".listen", l.Listen)
	switch {
	case l.TLS == nil && name == "kms" && !l.Insecure && !loopback(l.Listen):
		v.fail(name+".listen", "%s can be reached by others and has no TLS; add %s.tls, or say %s.insecure: true", l.Listen, name, name)
	case l.TLS != nil:
		if l.TLS.Certificate == "" {
			v.fail(name+".tls.certificate", "is missing; name a PEM file")
		}
		if l.TLS.Key == "" {
			v.fail(name+".tls.key", "is missing; name a PEM file")
		}
	}
}

func (v *checker) address(field, address string) {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		v.fail(field, "%q is not host:port", address)
	}
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (v *checker) tokens() {
	seen := map[string]bool{}
	for i := range v.c.Tokens {
		t := &v.c.Tokens[i]
		field := fmt.Sprintf("tokens[%d]", i)
		if !nameForm.MatchString(t.Name) {
			v.fail(field+".name", "%q is no name; use letters, digits, dots and dashes", t.Name)
		} else if seen[t.Name] {
			v.fail(field+".name", "%s is the name of an earlier token", t.Name)
		}
		seen[t.Name] = true
		if !filepath.IsAbs(t.Module) {
			v.fail(field+".module", "%q is not the absolute path of a PKCS#11 library", t.Module)
		}
		switch {
		case t.URI != "" && (t.Label != "" || t.Serial != ""):
			v.fail(field+".uri", "says which token it is, and so do label or serial; keep one way")
		case t.URI != "":
			v.tokenURI(field+".uri", t)
		case t.Label == "" && t.Serial == "":
			v.fail(field+".label", "is missing; name the token by label, by serial or by uri")
		}
		if t.PIN != "" {
			if err := t.PIN.Validate(); err != nil {
				v.fail(field+".pin", "%v", err)
			}
		}
		if t.MaxSessions < 0 {
			v.fail(field+".max_sessions", "%d is less than nothing", t.MaxSessions)
		}
		switch t.Verify {
		case "", VerifyAppliance, VerifyToken:
		default:
			v.fail(field+".verify", "%q is no place to verify signatures: %s or %s", t.Verify, VerifyAppliance, VerifyToken)
		}
	}
	for _, region := range v.c.Regions {
		field := "default_stores." + region
		name, ok := v.c.DefaultStores[region]
		switch t := v.c.Token(name); {
		case !ok:
			v.fail(field, "is missing; say which token holds the keys of %s", region)
		case t == nil:
			v.fail(field, "there is no token named %q under tokens", name)
		case t.PIN == "":
			v.fail(field, "token %s has no pin; add one under tokens", name)
		}
	}
	for region := range v.c.DefaultStores {
		if !slices.Contains(v.c.Regions, region) {
			v.fail("default_stores."+region, "%s is not among regions", region)
		}
	}
}

func (v *checker) tokenURI(field string, t *Token) {
	sel, err := hsm.ParseURI(t.URI)
	switch {
	case err != nil:
		v.fail(field, "%v", err)
	case sel.Label == "" && sel.Serial == "":
		v.fail(field, "names neither token nor serial")
	case sel.Module != "" && sel.Module != t.Module:
		v.fail(field, "has another module-path than the field module")
	}
}

func (v *checker) clusters() {
	ids, tokens := map[string]bool{}, map[string]string{}
	for i, cl := range v.c.Clusters {
		field := fmt.Sprintf("clusters[%d]", i)
		switch {
		case !clusterForm.MatchString(cl.ID):
			v.fail(field+".id", "%q does not have AWS's form: cluster- and 11 to 16 of the letters a-z, A-Z and the digits 2-7", cl.ID)
		case ids[cl.ID]:
			v.fail(field+".id", "%s is the id of an earlier cluster", cl.ID)
		}
		ids[cl.ID] = true
		switch other, taken := tokens[cl.Token]; {
		case v.c.Token(cl.Token) == nil:
			v.fail(field+".token", "there is no token named %q under tokens", cl.Token)
		case taken:
			v.fail(field+".token", "token %s is the token of %s already; a cluster needs its own", cl.Token, other)
		case v.isDefault(cl.Token):
			v.fail(field+".token", "token %s is the default store of a Region; a cluster needs its own", cl.Token)
		}
		tokens[cl.Token] = cl.ID
	}
}

func (v *checker) isDefault(token string) bool {
	for _, name := range v.c.DefaultStores {
		if name == token {
			return true
		}
	}
	return false
}

func (v *checker) isCluster(token string) bool {
	return slices.ContainsFunc(v.c.Clusters, func(c Cluster) bool { return c.Token == token })
}

func (v *checker) rest() {
	l := v.c.Limits
	for _, f := range []struct {
		name  string
		value int
	}{
		{"keys_per_region", l.KeysPerRegion}, {"stores_per_region", l.StoresPerRegion}, {"aliases_per_key", l.AliasesPerKey},
		{"grants_per_key", l.GrantsPerKey},
		{"connections", l.Connections}, {"drain_seconds", l.DrainSeconds}, {"connect_seconds", l.ConnectSeconds},
	} {
		if f.value < 0 {
			v.fail("limits."+f.name, "%d is less than nothing", f.value)
		}
	}
	v.rates()
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, v.c.Log.Level) {
		v.fail("log.level", "%q is none of debug, info, warn, error", v.c.Log.Level)
	}
	if !slices.Contains([]string{"text", "json"}, v.c.Log.Format) {
		v.fail("log.format", "%q is none of text, json", v.c.Log.Format)
	}
}

// lineOf finds the line of a field, or of the nearest part of its path that the file has.
func lineOf(n *yaml.Node, field string) int {
	if n == nil {
		return 0
	}
	if n.Kind == yaml.DocumentNode && len(n.Content) > 0 {
		n = n.Content[0]
	}
	line := 0
	for _, step := range strings.FieldsFunc(field, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		next := child(n, step)
		if next == nil {
			break
		}
		n, line = next, next.Line
	}
	return line
}

func child(n *yaml.Node, step string) *yaml.Node {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return n.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i < len(n.Content) {
			return n.Content[i]
		}
	}
	return nil
}
