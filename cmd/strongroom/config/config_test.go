package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/strongroom/strongroom/cmd/strongroom/config"
)

const samplePath = "../../../deploy/strongroom.yaml"

// minimal is the least that a configuration must say.
const minimal = `
account: "000000000000"
regions: [us-east-1]
data_dir: /var/lib/strongroom
kms: {listen: "127.0.0.1:8080"}
tokens:
  - {name: main, module: /usr/lib/softhsm/libsofthsm2.so, label: sr, pin: "env:PIN"}
default_stores: {us-east-1: main}
`

func TestSample(t *testing.T) {
	c, err := config.Load(samplePath)
	require.NoError(t, err)
	assert.Equal(t, []string{"eu-central-1", "eu-west-1"}, c.Regions)
	assert.Equal(t, "/var/lib/strongroom/admin.sock", c.AdminSocket())
}

// Every field of the types stands in the sample, in use or as a comment.
func TestSampleNamesEveryField(t *testing.T) {
	data, err := os.ReadFile(samplePath)
	require.NoError(t, err)
	for name := range fieldNames(reflect.TypeFor[config.Config]()) {
		assert.Contains(t, string(data), name+":", "deploy/strongroom.yaml does not show the field %s", name)
	}
}

func fieldNames(t reflect.Type) map[string]bool {
	out := map[string]bool{}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return fieldNames(t.Elem())
	case reflect.Struct:
	default:
		return out
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name != "" {
			out[name] = true
		}
		for name := range fieldNames(f.Type) {
			out[name] = true
		}
	}
	return out
}

func TestMinimalIsEnough(t *testing.T) {
	c, err := config.Parse([]byte(minimal))
	require.NoError(t, err)
	assert.Empty(t, c.Validate())
	assert.Equal(t, "/var/lib/strongroom/strongroom.db", c.Database.Path)
	assert.Equal(t, "/var/lib/strongroom/audit", c.Audit.Dir)
}

func TestParseRefuses(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"unknown field", minimal + "colour: red\n", `line 9: there is no field "colour" here`},
		{"unknown fields deeper", "kms:\n  listen: a\n  port: 1\nadmin:\n  colour: x\n", `line 3: there is no field "port" here; see the sample configuration for all fields; line 5: there is no field "colour" here`},
		{"no list", "account: a\nregions: us-east-1\n", "line 2: want a list here, found text; see the sample configuration"},
		{"no section", "kms: 8080\n", "line 1: want a section here, found a number"},
		{"no number", "limits: {connections: many}\n", "line 1: want a number here, found text"},
		{"no whole number", "audit: {max_file_mb: 10}\nlimits:\n  drain_seconds: 0.5\n  connections: 1e3\n", "line 3: 0.5 is no whole number; line 4: 1e3 is no whole number"},
		{"no whole number in a list", "tokens: [{name: a}, {max_sessions: 2.5}]\n", "line 1: 2.5 is no whole number"},
		{"no whole number inline", "xks: {listen: a, realms: [{quota: 1.5}]}\n", "line 1: 1.5 is no whole number"},
		{"no rate", "limits: {request_rate: {CreateKey: fast}}\n", "line 1: want a number here, found text"},
		{"no switch", "kms: {insecure: maybe}\n", "line 1: want true or false here, found text"},
		{"no text", "tokens: [{pin: {a: b}}]\n", "line 1: want text here, found a section"},
		{"a secret in the wrong place", "tokens: hunter2hunter2\n", "line 1: want a list here, found text; see the sample configuration"},
		{"repeated field", "account: a\naccount: b\n", "line 2: mapping key \"account\" already defined"},
		{"two documents", minimal + "---\naccount: x\n", "second YAML document"},
		{"empty", "", "the file is empty"},
		{"no YAML", "a: [", "line 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := config.Parse([]byte(tc.text))
			assert.ErrorContains(t, err, tc.want)
			assert.NotContains(t, err.Error(), "hunter2")
			assert.NotContains(t, err.Error(), "unmarshal")
		})
	}
}

func TestValidateFindsEverythingAtOnce(t *testing.T) {
	c, err := config.Parse([]byte(`
account: "12"
regions: [us-east-1, us-east-1, nowhere]
data_dir: relative
kms:
  listen: 0.0.0.0:8080
xks:
  listen: 127.0.0.1:9
  realms:
    - path_prefix: nonsense
      token: none
      credentials: [{access_key_id: short, secret: hunter2}]
tokens:
  - {name: main, module: softhsm.so, pin: "123456", verify: nowhere}
  - {name: main, module: /m.so, uri: "pkcs11:token=a?pin-value=123"}
default_stores: {us-east-1: other, eu-west-1: main}
clusters:
  - {id: cluster-1, token: main}
log: {level: loud, format: text}
`))
	require.NoError(t, err)
	var got []string
	for _, p := range c.Validate() {
		got = append(got, p.String())
	}
	all := strings.Join(got, "\n")
	for _, want := range []string{
		`line 2: account: "12" is no account`,
		"line 3: regions[1]: us-east-1 is named twice",
		`line 3: regions[2]: "nowhere"`,
		`line 4: data_dir: "relative" is not an absolute path`,
		"line 6: kms.listen: 0.0.0.0:8080 can be reached by others and has no TLS",
		"line 8: xks.tls: is missing",
		`line 10: xks.realms[0].path_prefix: "nonsense"`,
		`line 11: xks.realms[0].token: there is no token named "none"`,
		"line 12: xks.realms[0].credentials[0].secret: is not a reference",
		`line 14: tokens[0].module: "softhsm.so" is not the absolute path`,
		"line 14: tokens[0].pin: is not a reference",
		`line 14: tokens[0].verify: "nowhere" is no place to verify signatures: appliance or token`,
		"line 15: tokens[1].name: main is the name of an earlier token",
		"tokens[1].uri:",
		`default_stores.us-east-1: there is no token named "other"`,
		"default_stores.eu-west-1: eu-west-1 is not among regions",
		`clusters[0].id: "cluster-1" does not have AWS's form`,
		`log.level: "loud" is none of`,
	} {
		assert.Contains(t, all, want)
	}
	assert.NotContains(t, all, "hunter2", "a secret written by mistake is not repeated")
	assert.NotContains(t, all, "123456")
}

func TestSecretRef(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), mode))
		require.NoError(t, os.Chmod(path, mode))
		return path
	}
	good, open, empty := write("good", "123456\n", 0o600), write("open", "123456\n", 0o644), write("empty", "\n", 0o600)
	t.Setenv("STRONGROOM_TEST_PIN", "from-env")
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	for _, tc := range []struct{ name, ref, want, err string }{
		{"file", "file:" + good, "123456", ""},
		{"file that others can read", "file:" + open, "", "chmod 600"},
		{"empty file", "file:" + empty, "", "is empty"},
		{"no file", "file:" + dir + "/none", "", "no such file"},
		{"environment", "env:STRONGROOM_TEST_PIN", "from-env", ""},
		{"variable not set", "env:STRONGROOM_TEST_NONE", "", "STRONGROOM_TEST_NONE is not set"},
		{"systemd credential", "credential:good", "123456", ""},
		{"credential outside the directory", "credential:../good", "", "bare name"},
		{"the secret itself", "123456", "", "not a reference"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := config.SecretRef(tc.ref).Resolve()
			if tc.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tc.err)
			}
			assert.Equal(t, tc.want, got)
		})
	}
}

// FuzzParse: any text is a configuration or an error, and what can be read can be validated.
func FuzzParse(f *testing.F) {
	sample, err := os.ReadFile(samplePath)
	require.NoError(f, err)
	f.Add(string(sample))
	f.Add(minimal)
	f.Add("tokens: [{}]\nclusters: [{}]\nxks: {realms: [{credentials: [{}]}]}\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := config.Parse([]byte(text))
		if err != nil {
			return
		}
		for _, p := range c.Validate() {
			assert.NotEmpty(t, p.Message)
		}
		_, err = yaml.Marshal(c)
		assert.NoError(t, err)
	})
}
