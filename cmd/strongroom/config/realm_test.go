package config_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/cmd/strongroom/config"
)

// realmsOf validates realms in an otherwise good configuration and gives what is wrong with them.
func realmsOf(t *testing.T, realms string) (*config.Config, string) {
	t.Helper()
	c, err := config.Parse([]byte(`
account: "111122223333"
regions: [us-east-1]
data_dir: /data
kms: {listen: "127.0.0.1:8080"}
tokens:
  - {name: main, module: /m.so, label: main, pin: "env:PIN"}
  - {name: ext, module: /m.so, label: ext, pin: "env:PIN"}
  - {name: ext2, module: /m.so, label: ext2, pin: "env:PIN"}
default_stores: {us-east-1: main}
xks:
  listen: 127.0.0.1:8443
  tls: {certificate: /c, key: /k}
  realms:
` + realms))
	require.NoError(t, err)
	var got []string
	for _, p := range c.Validate() {
		got = append(got, p.String())
	}
	return c, strings.Join(got, "\n")
}

func TestRealms(t *testing.T) {
	c, wrong := realmsOf(t, `
    - {token: ext, all_keys: true}
    - path_prefix: /a/b
      token: ext
      keys: [k]
      addressing: label
      regions: [eu-west-1]
      blocked: true
      credentials: [{access_key_id: AAAAAAAAAAAAAAAAAAAA, secret: "env:A"}, {access_key_id: BBBBBBBBBBBBBBBBBBBB, secret: "env:B"}]
      policy: {dry_run: true, rules: [{name: r, effect: deny, principals: ["*"], operations: [Encrypt, Decrypt, GetKeyMetadata]}]}
    - {path_prefix: /c, token: ext2, all_keys: true, addressing: id}
`)
	assert.Empty(t, wrong)
	assert.Equal(t, "default", c.XKS.Realms[0].Name)
	assert.Equal(t, "/a/b", c.Realm("a/b").PathPrefix)
	assert.Nil(t, c.Realm("nowhere"))
}

func TestBadRealms(t *testing.T) {
	for realm, want := range map[string]string{
		`{path_prefix: /x, token: ext, keys: ["a/b"]}`:                                                                         `keys[0]: "a/b" is no external key id`,
		`{path_prefix: /x, token: ext}`:                                                                                        "keys: is empty",
		`{path_prefix: /x, token: ext, all_keys: true, addressing: slot}`:                                                      `addressing: "slot" is neither label nor id`,
		`{path_prefix: /x, token: ext2, all_keys: true, addressing: id}`:                                                       "addressing: an earlier realm addresses keys on token ext2 by label",
		`{path_prefix: /x, name: first, token: ext, all_keys: true}`:                                                           "name: first is the name of an earlier realm",
		`{path_prefix: /first, name: x, token: ext, all_keys: true}`:                                                           `path_prefix: "/first" is the prefix of an earlier realm`,
		`{path_prefix: /` + strings.Repeat("x", 120) + `, token: ext, all_keys: true}`:                                         `path_prefix: "/` + strings.Repeat("x", 120) + `" is longer than AWS allows, 117 characters`,
		`{path_prefix: /x, token: main, all_keys: true}`:                                                                       "token: token main holds KMS keys already",
		`{path_prefix: /x, token: ext, all_keys: true, quota: -1}`:                                                             "quota: -1 is less than nothing",
		`{path_prefix: /x, token: ext, all_keys: true, regions: [mars]}`:                                                       `regions[0]: "mars" does not have the form`,
		`{path_prefix: /x, token: ext, all_keys: true, policy: {rules: [{effect: allow}]}}`:                                    "policy.rules[0].name: is missing",
		`{path_prefix: /x, token: ext, all_keys: true, policy: {rules: [{name: r, effect: maybe}]}}`:                           `policy.rules[0].effect: "maybe" is neither`,
		`{path_prefix: /x, token: ext, all_keys: true, policy: {rules: [{name: r, effect: deny, operations: [Sign]}]}}`:        `policy.rules[0].operations: "Sign" is none of`,
		`{path_prefix: /x, token: ext, all_keys: true, credentials: [{access_key_id: AKIA0000000000000000, secret: "env:A"}]}`: "credentials[0].access_key_id: \"AKIA0000000000000000\" does not have AWS's form",
		`{path_prefix: /x, token: ext, all_keys: true, credentials: [{}, {}, {}]}`:                                             "credentials: has 3",
	} {
		_, wrong := realmsOf(t, "    - {path_prefix: /first, name: first, token: ext2, all_keys: true}\n    - "+realm+"\n")
		assert.Contains(t, wrong, "xks.realms[1]."+want, realm)
	}
}
