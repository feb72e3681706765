// Package config reads the configuration of `strongroom serve`: one YAML file, strictly decoded, with secrets by
// reference only. It knows what a configuration may say and finds everything that is wrong with one at once; it opens no
// listener, token or database.
package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Config is the configuration file. Every field is documented in the sample in deploy/.
type Config struct {
	Account       string            `yaml:"account"`
	Regions       []string          `yaml:"regions"`
	DataDir       string            `yaml:"data_dir"`
	KMS           Listener          `yaml:"kms"`
	Admin         Admin             `yaml:"admin"`
	Database      Database          `yaml:"database"`
	Tokens        []Token           `yaml:"tokens"`
	DefaultStores map[string]string `yaml:"default_stores"` // Region to token name
	Clusters      []Cluster         `yaml:"clusters"`
	XKS           XKS               `yaml:"xks"`
	Audit         Audit             `yaml:"audit"`
	Limits        Limits            `yaml:"limits"`
	Compatibility Compatibility     `yaml:"compatibility"`
	// ExternalStores is about other people's proxies, XKS about our own.
	ExternalStores ExternalStores `yaml:"external_stores"`

	Log Log `yaml:"log"`

	root *yaml.Node // for the lines of problems
}

// Listener is an address that serves the KMS API or the XKS proxy API.
type Listener struct {
	Listen   string `yaml:"listen"`   // host:port; "" means that there is none
	TLS      *TLS   `yaml:"tls"`      // nil serves plain HTTP
	Insecure bool   `yaml:"insecure"` // plain HTTP on an address that others can reach is meant
}

// TLS names the files of a server's certificate.
type TLS struct {
	Certificate string `yaml:"certificate"` // PEM file, leaf first
	Key         string `yaml:"key"`         // PEM file, readable by its owner only
	ClientCA    string `yaml:"client_ca"`   // PEM file; clients must then show a certificate of one of these CAs
	// ClientNames are the names, as CN or DNS SAN, that a client's certificate must bear one of. For xks only.
	ClientNames []string `yaml:"client_names"`
}

// Admin is where people and monitoring look at the appliance.
type Admin struct {
	Listen string `yaml:"listen"` // host:port of /healthz, /readyz and /metrics; "" means that there is none
}

// Database says where the state is.
type Database struct {
	Path string `yaml:"path"` // SQLite file; "" means strongroom.db in the data directory
}

// Where signatures are verified.
const (
	VerifyAppliance = "appliance"
	VerifyToken     = "token"
)

// Token is a PKCS#11 token: the module that reaches it and what tells it from the module's other tokens.
type Token struct {
	Name        string    `yaml:"name"`         // what the rest of the file calls it
	Module      string    `yaml:"module"`       // path of the PKCS#11 library
	ModuleArgs  string    `yaml:"module_args"`  // string for C_Initialize, for libraries that need one
	URI         string    `yaml:"uri"`          // RFC 7512; instead of label and serial
	Label       string    `yaml:"label"`        // CKA token label
	Serial      string    `yaml:"serial"`       // token serial number
	PIN         SecretRef `yaml:"pin"`          // user PIN; not for tokens that clusters alone use
	MaxSessions int       `yaml:"max_sessions"` // 0: what suits the token
	Profile     string    `yaml:"profile"`      // vendor quirks; "" finds out by itself
	Verify      string    `yaml:"verify"`       // where Verify is done: "" or appliance, with the public key; token
}

// Cluster is a CloudHSM-style cluster: a token that a custom key store can be made on.
type Cluster struct {
	ID             string `yaml:"id"`              // CloudHsmClusterId
	Token          string `yaml:"token"`           // name of its token
	TrustAnchor    string `yaml:"trust_anchor"`    // PEM file that TrustAnchorCertificate must equal; "" accepts any certificate
	RotatePassword bool   `yaml:"rotate_password"` // whether connect replaces the user PIN by a random one, as AWS does
	Related        string `yaml:"related"`         // clusters with the same word here may replace each other
}

// XKS is the proxy endpoint for external key stores.
type XKS struct {
	Listener `yaml:",inline"`
	Realms   []Realm `yaml:"realms"`
}

// Realm is one isolated path prefix of the proxy.
type Realm struct {
	Name        string       `yaml:"name"`
	PathPrefix  string       `yaml:"path_prefix"` // "/name" serves /name/kms/xks/v1
	Token       string       `yaml:"token"`       // token that holds its keys
	Addressing  string       `yaml:"addressing"`  // what an external key id is: label or id (CKA_ID in hex); "" means label
	Credentials []Credential `yaml:"credentials"` // at most two; further ones come and go by `strongroom xks realms`
	Keys        []string     `yaml:"keys"`        // external key ids that it serves; empty means none
	AllKeys     bool         `yaml:"all_keys"`    // serves every AES-256 key of the token
	Quota       int          `yaml:"quota"`       // calls a second; 0 means no quota
	Regions     []string     `yaml:"regions"`     // Regions that KMS may call from; empty means any
	Blocked     bool         `yaml:"blocked"`     // refuses everything with InvalidStateException
	Policy      Policy       `yaml:"policy"`
}

// Credential is a SigV4 credential of a realm.
type Credential struct {
	AccessKeyID string    `yaml:"access_key_id"`
	Secret      SecretRef `yaml:"secret"`
}

// Audit says where the audit log goes.
type Audit struct {
	Dir       string `yaml:"dir"`         // "" means audit in the data directory
	MaxFileMB int    `yaml:"max_file_mb"` // a file is closed and the next one begun at this size
}

// Limits bounds what callers can make and ask for. Zeros mean AWS's default quotas.
type Limits struct {
	KeysPerRegion   int `yaml:"keys_per_region"`
	StoresPerRegion int `yaml:"stores_per_region"`
	AliasesPerKey   int `yaml:"aliases_per_key"`
	GrantsPerKey    int `yaml:"grants_per_key"`
	Connections     int `yaml:"connections"`     // open connections to each of the KMS and XKS listeners
	DrainSeconds    int `yaml:"drain_seconds"`   // how long a stop waits for calls in flight
	ConnectSeconds  int `yaml:"connect_seconds"` // how long a store may stay CONNECTING
	// RequestRates are the request quotas: "" for none, or aws for AWS's defaults.
	RequestRates string `yaml:"request_rates"`
	// RequestRate replaces single quotas, in requests a second to each Region; 0 is none.
	RequestRate map[string]float64 `yaml:"request_rate"`
}

// Compatibility loosens AWS's rules where a site cannot keep them.
type Compatibility struct {
	XksEndpointPorts bool `yaml:"xks_endpoint_ports"` // XksProxyUriEndpoint may carry a port
}

// Log is about the log on standard error.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // text or json
}

// Load reads, decodes and validates a file. The error of a file that cannot be read, and a *Invalid of one that can, name
// the file. With the *Invalid of a file that cannot be decoded there is no Config.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	c, err := Parse(data)
	if m := malformed(nil); errors.As(err, &m) {
		return nil, &Invalid{Path: path, Problems: m}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if problems := c.Validate(); len(problems) > 0 {
		return c, &Invalid{Path: path, Problems: problems}
	}
	return c, nil
}

// Parse decodes a configuration over the defaults. It refuses unknown fields, repeated ones and a second document, each
// with its line.
func Parse(data []byte) (*Config, error) {
	c := &Config{
		Admin: Admin{Listen: "127.0.0.1:8081"},
		Audit: Audit{MaxFileMB: 100},
		Log:   Log{Level: "info", Format: "text"},
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(c); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the file is empty")
		}
		return nil, readable(err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file has a second YAML document; keep one")
	}
	c.root = new(yaml.Node)
	if err := yaml.Unmarshal(data, c.root); err != nil {
		return nil, readable(err)
	}
	if bad := fractions(c.root, reflect.TypeFor[Config]()); len(bad) > 0 {
		return nil, inLines(bad)
	}
	c.fill()
	return c, nil
}

// fill sets what depends on other fields.
func (c *Config) fill() {
	if c.DataDir != "" {
		if c.Database.Path == "" {
			c.Database.Path = filepath.Join(c.DataDir, "strongroom.db")
		}
		if c.Audit.Dir == "" {
			c.Audit.Dir = filepath.Join(c.DataDir, "audit")
		}
	}
	for i := range c.XKS.Realms {
		if r := &c.XKS.Realms[i]; r.Name == "" {
			r.Name = cmp.Or(strings.Trim(r.PathPrefix, "/"), "default")
		}
	}
}

// AdminSocket is the path of the admin socket.
func (c *Config) AdminSocket() string { return filepath.Join(c.DataDir, "admin.sock") }

// Token gives the token of that name, nil where there is none.
func (c *Config) Token(name string) *Token {
	for i := range c.Tokens {
		if c.Tokens[i].Name == name {
			return &c.Tokens[i]
		}
	}
	return nil
}

var (
	unknownField = regexp.MustCompile(`^line (\d+): field (\S+) not found in type \S+$`)
	wrongType    = regexp.MustCompile(`(?s)^line (\d+): cannot unmarshal !!(\w+)(?: .*)? into (\S+)$`)
)

// Words for the kinds of value that stand in a file, by YAML's tags.
var kinds = map[string]string{
	"str": "text", "int": "a number", "float": "a number", "bool": "true or false", "seq": "a list", "map": "a section", "null": "nothing",
}

// kindOf says what should stand where a Go type is decoded.
func kindOf(goType string) string {
	switch {
	case strings.HasPrefix(goType, "[]"):
		return kinds["seq"]
	case goType == "int", goType == "float64":
		return kinds["int"]
	case goType == "bool":
		return kinds["bool"]
	case goType == "string", goType == "config.SecretRef":
		return kinds["str"]
	}
	return kinds["map"]
}

// readable puts the decoder's errors, which name Go types, into words for the person who wrote the file.
func readable(err error) error {
	var te *yaml.TypeError
	if !errors.As(err, &te) {
		return inLines([]string{strings.TrimPrefix(err.Error(), "yaml: ")})
	}
	lines := make([]string, len(te.Errors))
	for i, e := range te.Errors {
		lines[i] = e
		if m := unknownField.FindStringSubmatch(e); m != nil {
			lines[i] = fmt.Sprintf("line %s: there is no field %q here; see the sample configuration for all fields", m[1], m[2])
		}
		// The value itself is not repeated: it may be a secret in the wrong place.
		if m := wrongType.FindStringSubmatch(e); m != nil {
			lines[i] = fmt.Sprintf("line %s: want %s here, found %s; see the sample configuration", m[1], kindOf(m[3]), cmp.Or(kinds[m[2]], "something else"))
		}
	}
	return inLines(lines)
}

// malformed is what is wrong with a file that is no configuration.
type malformed []Problem

// Error lists every problem.
func (m malformed) Error() string {
	lines := make([]string, len(m))
	for i, p := range m {
		lines[i] = p.String()
	}
	return strings.Join(lines, "; ")
}

var withLine = regexp.MustCompile(`(?s)^line (\d+): (.*)$`)

// inLines makes problems of texts that begin with their line.
func inLines(texts []string) malformed {
	out := make(malformed, len(texts))
	for i, text := range texts {
		out[i].Message = text
		if m := withLine.FindStringSubmatch(text); m != nil {
			if n, err := strconv.Atoi(m[1]); err == nil {
				out[i].Line, out[i].Message = n, m[2]
			}
		}
	}
	return out
}
