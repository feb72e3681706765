package custom_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/custom"
)

// lockedToken is a token with one PIN that counts wrong ones.
type lockedToken struct {
	pin   string
	wrong int
	tries int
	// change does what ChangeSecret is told, or not, and fails, or not.
	change func(set func()) error
}

func (k *lockedToken) Open(_ context.Context, s *keystore.Store, secret []byte) (backend.Backend, error) {
	k.tries++
	if string(secret) != k.pin {
		k.wrong++
		return nil, &custom.ConnectError{Code: keystore.ConnInvalidCredentials, Cause: errors.New("CKR_PIN_INCORRECT")}
	}
	return &changeable{link: link{store: s.Clone()}, token: k}, nil
}

type changeable struct {
	link
	token *lockedToken
}

func (c *changeable) ChangeSecret(_ context.Context, old, replacement []byte) error {
	if string(old) != c.token.pin {
		return &custom.ConnectError{Code: keystore.ConnInvalidCredentials}
	}
	pin := string(replacement)
	set := func() { c.token.pin = pin }
	if c.token.change != nil {
		return c.token.change(set)
	}
	set()
	return nil
}

func rotatingBench(t *testing.T) (*bench, *lockedToken) {
	t.Helper()
	token := &lockedToken{pin: password}
	return newBench(t, func(b *bench) {
		cluster := b.config.Clusters[clusterA]
		cluster.RotatesPIN = true
		b.config.Clusters[clusterA] = cluster
		b.mconfig.Clusters, b.mconfig.Opener = b.config.Clusters, token
	}), token
}

func pendingSettings(t *testing.T, b *bench) (names []string) {
	t.Helper()
	require.NoError(t, b.db.View(t.Context(), func(tx keystore.Tx) error {
		var err error
		names, err = tx.Settings("custom-key-store/")
		return err
	}))
	return names
}

func TestConnectRotatesThePassword(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, token := rotatingBench(t)
		id := b.connected("one", clusterA)
		first := token.pin
		assert.Regexp(t, `^[A-Za-z0-9]{32}$`, first)
		assert.NotEqual(t, password, first)
		b.restart()
		b.settle()
		assert.Equal(t, keystore.Connected, b.resolve(id))
		assert.Equal(t, first, token.pin, "a start is no connect")
		b.disconnect(id)
		b.settle()
		b.connect(id)
		b.settle()
		assert.NotEqual(t, first, token.pin, "every connect rotates again")
		assert.Equal(t, keystore.Connected, b.resolve(id))
		assert.Zero(t, token.wrong)
		assert.Empty(t, pendingSettings(t, b))

		b.disconnect(id)
		b.settle()
		token.pin = "ownersPIN1"
		require.NoError(t, b.service.UpdateCustomKeyStore(t.Context(), caller, &custom.UpdateInput{CustomKeyStoreID: id, KeyStorePassword: "ownersPIN1"}))
		b.connect(id)
		b.settle()
		assert.Equal(t, keystore.Connected, b.resolve(id))
		assert.Zero(t, token.wrong)
	})
}

func TestInterruptedRotationLocksNobodyOut(t *testing.T) {
	for name, c := range map[string]struct {
		change func(set func()) error
		wrong  int // wrong PINs that reached the token by the time it is connected
	}{
		"the token refused":               {func(func()) error { return errors.New("refused") }, 0},
		"the token did it and said no":    {func(set func()) error { set(); return errors.New("lost the answer") }, 1},
		"the token has no wish to answer": {func(func()) error { return &custom.ConnectError{Code: keystore.ConnNetworkErrors} }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b, token := rotatingBench(t)
				id := b.create("one", clusterA)
				token.change = c.change
				b.connect(id)
				b.settle()
				assert.Equal(t, keystore.Failed, b.row(id).Conn)
				assert.Contains(t, b.row(id).ConnCause, "change the password")
				token.change = nil
				b.disconnect(id)
				b.settle()
				b.restart()
				b.connect(id)
				b.settle()
				assert.Equal(t, keystore.Connected, b.row(id).Conn)
				assert.Equal(t, c.wrong, token.wrong)
				assert.Empty(t, pendingSettings(t, b))
			})
		})
	}
}

// TestRotationSurvivesACrashAtEveryStep stops the database, as a crash would, before each writing transaction of a connect
// that rotates.
func TestRotationSurvivesACrashAtEveryStep(t *testing.T) {
	for step := range 4 {
		bubble(t, func(t *testing.T) {
			left := step
			b, token := rotatingBench(t)
			b.mconfig.DB = &failingDB{DB: b.db, refuse: func() bool { left--; return left < 0 }}
			b.restart()
			id := b.create("one", clusterA)
			b.connect(id)
			time.Sleep(time.Minute)
			b.mconfig.DB = b.db
			b.restart()
			b.settle()
			assert.Equal(t, keystore.Connected, b.row(id).Conn, "crash before transaction %d", step+1)
			assert.LessOrEqual(t, token.wrong, 1)
			b.disconnect(id)
			b.settle()
			wrong := token.wrong
			b.connect(id)
			b.settle()
			assert.Equal(t, keystore.Connected, b.row(id).Conn)
			assert.Equal(t, wrong, token.wrong, "the doubt is over")
		})
	}
}

func TestBothPasswordsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, token := rotatingBench(t)
		id := b.create("one", clusterA)
		token.change = func(func()) error { return errors.New("refused") }
		b.connect(id)
		b.settle()
		b.disconnect(id)
		b.settle()
		token.pin, token.change, token.tries = "somethingElse1", nil, 0
		b.connect(id)
		time.Sleep(time.Hour)
		assert.Equal(t, keystore.ConnInvalidCredentials, b.row(id).ConnError)
		assert.Equal(t, 2, token.tries, "each once")
		b.disconnect(id)
		b.settle()
		require.NoError(t, b.service.UpdateCustomKeyStore(t.Context(), caller, &custom.UpdateInput{CustomKeyStoreID: id, KeyStorePassword: "wrongAgain1"}))
		assert.Empty(t, pendingSettings(t, b), "the owner's word ends the doubt")
		b.connect(id)
		b.settle()
		assert.Equal(t, 3, token.tries)
		b.disconnect(id)
		b.settle()
		require.NoError(t, b.service.DeleteCustomKeyStore(t.Context(), caller, id))
	})
}

func TestDisconnectDuringRotation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, token := rotatingBench(t)
		id := b.create("one", clusterA)
		token.change = func(set func()) error {
			b.disconnect(id)
			set()
			return nil
		}
		b.connect(id)
		b.settle()
		assert.Equal(t, keystore.Disconnected, b.row(id).Conn)
		token.change = nil
		b.connect(id)
		b.settle()
		assert.Equal(t, keystore.Connected, b.resolve(id))
		assert.Zero(t, token.wrong, "the new password was kept")
	})
}

func TestRotationNeedsABackendThatCan(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, _ := rotatingBench(t)
		b.mconfig.Opener = b.opener
		b.restart()
		id := b.create("one", clusterA)
		b.connect(id)
		b.settle()
		assert.Equal(t, keystore.ConnInternalError, b.row(id).ConnError)
		assert.Zero(t, b.opener.stillOpen(t))
	})
}
