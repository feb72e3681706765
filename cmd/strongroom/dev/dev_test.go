package dev

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm/pkcs11"
)

func TestParseSpan(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"7d": 7 * day, "36h": 36 * time.Hour, "90m": 90 * time.Minute, "7d12h": 7*day + 12*time.Hour, "30s": 30 * time.Second,
	} {
		got, err := ParseSpan(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "d", "7", "-1d", "1d-2h", "0h", "yesterday", "99999999d", "1.5d", "d7"} {
		_, err := ParseSpan(text)
		assert.ErrorContains(t, err, "is no span of time", text)
	}
}

func FuzzParseSpan(f *testing.F) {
	for _, s := range []string{"7d", "7d12h", "x", "73000d23h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseSpan(s)
		assert.True(t, (err == nil) == (d > 0))
	})
}

func TestClockMovesForwardAndStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock")
	c, err := OpenClock(path)
	require.NoError(t, err)
	before := c.Now()
	require.NoError(t, c.Advance(48*time.Hour))
	assert.GreaterOrEqual(t, c.Now().Sub(before), 48*time.Hour)
	assert.Error(t, c.Advance(-time.Hour))
	assert.Error(t, c.Advance(0))
	assert.Error(t, c.Advance(maxLead))

	again, err := OpenClock(path)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, again.Now().Sub(before), 48*time.Hour)

	require.NoError(t, os.WriteFile(path, []byte("soon"), 0o600))
	_, err = OpenClock(path)
	assert.ErrorContains(t, err, "delete it to go back to the real time")
}

func TestWriteEnvQuotesForTheShell(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dev.env")
	require.NoError(t, WriteEnv(path, []Var{{"A", "it's $HOME"}, {"B", ""}}))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "export A='it'\\''s $HOME'\nexport B=''\n", string(text))
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.NoError(t, RemoveEnv(path))
	require.NoError(t, RemoveEnv(path))
}

// A mistake in the options changes nothing: neither an account nor a token is kept for it.
func TestPrepareRefusesBadOptions(t *testing.T) {
	good := Options{Dir: t.TempDir(), KMSAddr: "127.0.0.1:0", XKSAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0",
		Regions: []string{"us-east-1"}, Account: "000000000000"}
	for name, c := range map[string]struct {
		change func(o *Options)
		want   string
	}{
		"account":   {func(o *Options) { o.Account = "12" }, `--account: "12" is no account; write 12 digits`},
		"no Region": {func(o *Options) { o.Regions = nil }, "--region: name at least one Region, such as us-east-1"},
		"Region":    {func(o *Options) { o.Regions = []string{"here"} }, `--region: "here" does not have the form of a Region, such as us-east-1`},
		"twice":     {func(o *Options) { o.Regions = []string{"us-east-1", "us-east-1"} }, "--region: us-east-1 is named twice"},
		"address":   {func(o *Options) { o.KMSAddr = "8080" }, `--kms-addr: "8080" is not host:port`},
		"same address": {func(o *Options) { o.AdminAddr, o.KMSAddr = "127.0.0.1:8080", "127.0.0.1:8080" },
			"--admin-addr: 127.0.0.1:8080 is also kms.listen; give each its own address"},
		"several": {func(o *Options) { o.Account, o.XKSAddr = "x", "y" }, `--account: "x" is no account; write 12 digits; --xks-addr: "y" is not host:port`},
	} {
		o := good
		c.change(&o)
		_, err := Prepare(context.Background(), o)
		var bad *OptionError
		require.ErrorAs(t, err, &bad, name)
		assert.Equal(t, c.want, err.Error(), name)
	}
	left, err := os.ReadDir(good.Dir)
	require.NoError(t, err)
	assert.Empty(t, left)
}

// A directory is continued: secrets and tokens stay, what a kill did to a token is undone, and a token that is really gone
// is not made anew in silence.
func TestPrepareContinues(t *testing.T) {
	ctx := context.Background()
	o := Options{Dir: filepath.Join(t.TempDir(), "dir"), KMSAddr: "127.0.0.1:0", XKSAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0",
		Regions: []string{"us-east-1"}, Account: "000000000000"}
	require.NoError(t, os.Mkdir(o.Dir, 0o700))
	prepare := func(o Options) (*Setup, error) {
		s, err := Prepare(ctx, o)
		require.NoError(t, pkcs11.CloseAll(ctx))
		return s, err
	}
	first, err := prepare(o)
	require.NoError(t, err)
	second, err := prepare(o)
	require.NoError(t, err)
	assert.Equal(t, first.kept, second.kept)
	assert.Equal(t, first.Config, second.Config)

	files, err := filepath.Glob(filepath.Join(o.Dir, "tokens", "*", "token.object"))
	require.NoError(t, err)
	require.Len(t, files, 5)
	for i, file := range files {
		require.NoError(t, os.Truncate(file, int64(i*8)))
	}
	_, err = prepare(o)
	require.NoError(t, err, "token.object cut short")

	o.Account = "111111111111"
	_, err = prepare(o)
	assert.ErrorContains(t, err, "belongs to account 000000000000")
	o.Account = "000000000000"

	o.Regions = []string{"eu-west-1", "us-east-1"}
	third, err := prepare(o)
	require.NoError(t, err)
	assert.Equal(t, "eu-west-1", third.Config.DefaultStores["eu-west-1"])

	require.NoError(t, os.RemoveAll(filepath.Dir(files[0])))
	_, err = prepare(o)
	assert.ErrorContains(t, err, "is gone, and its keys with it")

	o.Dir = filepath.Join(t.TempDir(), "a#b")
	require.NoError(t, os.Mkdir(o.Dir, 0o700))
	_, err = prepare(o)
	assert.ErrorContains(t, err, "which SoftHSM2 cannot read")
}

func TestReachable(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:8080": "127.0.0.1:8080", "0.0.0.0:8080": "127.0.0.1:8080", "[::]:8080": "localhost:8080", "[::1]:8080": "[::1]:8080",
		"10.0.0.1:80": "10.0.0.1:80", "host:80": "host:80", "": "",
	} {
		assert.Equal(t, want, reachable(address), address)
	}
}

// A directory of a version with one realm gets the second: what it had stays as it was.
func TestPrepareAddsTheSecondRealm(t *testing.T) {
	ctx := context.Background()
	o := Options{Dir: filepath.Join(t.TempDir(), "dir"), KMSAddr: "127.0.0.1:0", XKSAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0",
		Regions: []string{"us-east-1"}, Account: "000000000000"}
	require.NoError(t, os.Mkdir(o.Dir, 0o700))
	prepare := func() *Setup {
		s, err := Prepare(ctx, o)
		require.NoError(t, pkcs11.CloseAll(ctx))
		require.NoError(t, err)
		return s
	}
	first := prepare()

	// As that version left it: without the second credential, its files and its token.
	file := filepath.Join(o.Dir, "dev.json")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var doc map[string]any
	require.NoError(t, json.Unmarshal(text, &doc))
	delete(doc, "xks_2")
	delete(doc["tokens"].(map[string]any), xksToken2)
	text, err = json.Marshal(doc)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, text, 0o600))
	for _, name := range []string{"secrets/xks-secret-2", "secrets/xks-2.pin"} {
		require.NoError(t, os.Remove(filepath.Join(o.Dir, name)))
	}
	require.NoError(t, os.RemoveAll(filepath.Join(o.Dir, "tokens.kept")))
	removeToken(t, filepath.Join(o.Dir, "tokens"), first.kept.Tokens[xksToken2].Label)

	second := prepare()
	assert.Equal(t, first.kept.XKSAccessKey, second.kept.XKSAccessKey)
	assert.Equal(t, first.kept.XKSSecretKey, second.kept.XKSSecretKey)
	assert.NotEqual(t, first.kept.XKS2, second.kept.XKS2)
	assert.NotEmpty(t, second.kept.XKS2.AccessKey)
	for name, token := range first.kept.Tokens {
		if name != xksToken2 {
			assert.Equal(t, token, second.kept.Tokens[name], name)
		}
	}
	assert.True(t, second.kept.Tokens[xksToken2].Made)
	require.Len(t, second.Config.XKS.Realms, 2)
	assert.Equal(t, first.Config.XKS.Realms[0], second.Config.XKS.Realms[0])
	assert.Equal(t, second.kept, prepare().kept, "and it stays")
}

// removeToken takes a token's directory away; SoftHSM2 has its label in the token object.
func removeToken(t *testing.T, tokens, label string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(tokens, "*", "token.object"))
	require.NoError(t, err)
	for _, f := range found {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		if bytes.Contains(text, []byte(label)) {
			require.NoError(t, os.RemoveAll(filepath.Dir(f)))
			return
		}
	}
	t.Fatalf("no token %q among %v", label, found)
}
