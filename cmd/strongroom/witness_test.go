package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ThalesIgnite/crypto11"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/cmd/strongroom/dev"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/state/sqlite"
)

// pkcs11Main is the command pkcs11: another program, with another library (crypto11), on a token. The scenarios have it on
// the token of the first cluster.
func pkcs11Main() {
	if err := pkcs11Do(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func pkcs11Do(args []string) (err error) {
	if len(args) != 2 {
		return errors.New("usage: pkcs11 make LABEL | destroy CKA_ID | list TOKEN-LABEL")
	}
	label := "strongroom-cluster-1"
	if args[0] == "list" {
		label = args[1]
	}
	ctx, err := crypto11.Configure(&crypto11.Config{
		Path: os.Getenv("STRONGROOM_PKCS11_MODULE"), TokenLabel: label, Pin: os.Getenv("STRONGROOM_KMSUSER_PASSWORD"),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ctx.Close()) }()
	switch args[0] {
	case "list":
		return list(ctx)
	case "make":
		id := make([]byte, 16)
		rand.Read(id) //nolint:errcheck // crypto/rand never fails
		_, err := ctx.GenerateSecretKeyWithLabel(id, []byte(args[1]), 256, crypto11.CipherAES)
		return err
	}
	id, err := hex.DecodeString(args[1])
	if err != nil {
		return err
	}
	key, err := ctx.FindKey(id, nil)
	if err != nil {
		return err
	}
	if key == nil {
		return fmt.Errorf("the token has no key with CKA_ID %x", id)
	}
	return key.Delete()
}

// list prints CKA_ID and label of every secret key.
func list(ctx *crypto11.Context) error {
	keys, err := ctx.FindAllKeys()
	if err != nil {
		return err
	}
	for _, k := range keys {
		id, err := ctx.GetAttribute(k, crypto11.CkaId)
		if err != nil {
			return err
		}
		label, err := ctx.GetAttribute(k, crypto11.CkaLabel)
		if err != nil {
			return err
		}
		fmt.Printf("%x %s\n", id.Value, label.Value)
	}
	return nil
}

// witness looks at the tokens and the database of an appliance that has ended with programs of its own: another PKCS#11
// library in another process, and the database itself. Every object is named by a row that has not ended, and every live
// row has its object.
func witness(t *testing.T, dir string) {
	t.Helper()
	module, err := dev.FindModule("")
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(dir, "dev.json"))
	require.NoError(t, err)
	var kept struct {
		Tokens map[string]struct{ Label, PIN string }
	}
	require.NoError(t, json.Unmarshal(text, &kept))
	self, err := os.Executable()
	require.NoError(t, err)
	objects := map[string]string{}
	for name, token := range kept.Tokens {
		if strings.HasPrefix(name, "xks") {
			continue // external keys have rows of their own kind
		}
		cmd := exec.Command(self)
		cmd.Args = []string{"pkcs11", "list", token.Label}
		cmd.Env = []string{"SOFTHSM2_CONF=" + filepath.Join(dir, "softhsm2.conf"), "STRONGROOM_PKCS11_MODULE=" + module,
			"STRONGROOM_KMSUSER_PASSWORD=" + token.PIN, raceOptions()}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		for line := range strings.Lines(string(out)) {
			id, label, _ := strings.Cut(strings.TrimSpace(line), " ")
			if label == "strongroom:canary" {
				continue // the key of health checks: each token has the same, under an id of its own
			}
			_, twice := objects[id]
			assert.False(t, twice, "token %s has two objects with CKA_ID %q", name, id)
			objects[id] = label
		}
	}
	ctx := context.Background()
	db, err := sqlite.Open(ctx, filepath.Join(dir, "strongroom.db"), sqlite.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	require.NoError(t, db.Check(ctx))
	require.NoError(t, db.View(ctx, func(tx keystore.Tx) error {
		rows, err := tx.Materials(keystore.MaterialID{}, 1_000_000)
		for _, m := range rows {
			label, there := objects[m.ID.String()]
			delete(objects, m.ID.String())
			if m.Kind == keystore.MaterialNotOurs {
				assert.False(t, there, "an external key %s is on a token of ours", m.ID)
				assert.Contains(t, []keystore.MaterialState{keystore.MaterialLive, keystore.MaterialResolved}, m.State, "external key %s", m.ID)
				continue
			}
			switch m.State {
			case keystore.MaterialLive:
				assert.Equal(t, m.Label, label, "the object of live material %s", m.ID)
			case keystore.MaterialOrphaned:
				// A kill between its destruction and the record of it makes an orphan of what is gone already.
				assert.True(t, !there || label == m.Label, "the object of orphaned material %s is %q", m.ID, label)
			case keystore.MaterialDestroyed:
				assert.False(t, there, "destroyed material %s is on its token", m.ID)
			default:
				assert.Fail(t, "a row is not settled", "%s is %s", m.ID, m.State)
			}
		}
		return err
	}))
	assert.Empty(t, objects, "objects that no row names")
}

// shim puts the module that fails on demand between an appliance and SoftHSM2. The file that it names holds the faults.
func shim(t *testing.T, r *rig) (control string) {
	t.Helper()
	module, err := dev.FindModule("")
	require.NoError(t, err)
	dir := t.TempDir()
	so := filepath.Join(dir, "p11fault.so")
	out, err := exec.Command("make", "-s", "-C", filepath.Join("..", "..", "testdata", "p11fault"), "OUT="+so).CombinedOutput()
	require.NoError(t, err, string(out))
	control = filepath.Join(dir, "faults")
	r.env = append(r.env, "P11FAULT_MODULE="+module, "P11FAULT_CONTROL="+control)
	r.args = append(r.args, "--module", so)
	return control
}
