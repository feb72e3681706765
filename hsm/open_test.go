package hsm_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
	"github.com/strongroom/strongroom/hsm/pkcs11"
)

func TestOpenFails(t *testing.T) {
	ctx := context.Background()
	good := func(f *hsmtest.Faults) hsm.Config { return f.Config("a") }
	tests := map[string]struct {
		rules  []string
		config func(*hsmtest.Faults) hsm.Config
		class  hsm.Class
		logins int
	}{
		"no module": {config: func(f *hsmtest.Faults) hsm.Config {
			return hsm.Config{Selector: hsm.Selector{Module: filepath.Join(filepath.Dir(f.Module), "none.so"), Label: "a"}}
		}, class: hsm.ModuleMissing},
		"no PKCS#11 module": {config: func(f *hsmtest.Faults) hsm.Config {
			return hsm.Config{Selector: hsm.Selector{Module: "libm.so.6", Label: "a"}}
		}, class: hsm.ModuleMissing},
		"no module named": {config: func(*hsmtest.Faults) hsm.Config { return hsm.Config{} }, class: hsm.ModuleMissing},
		"no such token": {config: func(f *hsmtest.Faults) hsm.Config {
			cfg := f.Config("a")
			cfg.Label = "none"
			return cfg
		}, class: hsm.TokenMissing},
		"nothing selected": {config: func(f *hsmtest.Faults) hsm.Config {
			cfg := f.Config("a")
			cfg.Label = ""
			return cfg
		}, class: hsm.TokenMissing},
		"unknown profile": {config: func(f *hsmtest.Faults) hsm.Config {
			cfg := f.Config("a")
			cfg.Profile = "none"
			return cfg
		}, class: hsm.BadInput},
		"wrong PIN": {config: func(f *hsmtest.Faults) hsm.Config {
			cfg := f.Config("a")
			cfg.PIN = hsm.NewSecret("654321")
			return cfg
		}, class: hsm.PINIncorrect, logins: 1},
		"PIN of impossible length": {config: func(f *hsmtest.Faults) hsm.Config {
			cfg := f.Config("a")
			cfg.PIN = hsm.NewSecret("1")
			return cfg
		}, class: hsm.PINIncorrect, logins: 1},
		"PIN locked":            {rules: []string{"lock-pin"}, config: good, class: hsm.PINLocked, logins: 1},
		"PIN expired":           {rules: []string{"fail C_Login 0xa3"}, config: good, class: hsm.PINExpired, logins: 1},
		"PIN not set":           {rules: []string{"fail C_Login 0x102"}, config: good, class: hsm.PINNotSet, logins: 1},
		"officer inside":        {rules: []string{"fail C_Login 0x104"}, config: good, class: hsm.LoggedInElsewhere, logins: 1},
		"no sessions":           {rules: []string{"sessions 0"}, config: good, class: hsm.Busy},
		"token taken out":       {rules: []string{"gone"}, config: good, class: hsm.TokenMissing},
		"cannot be initialised": {rules: []string{"fail C_GetSlotList 0x05"}, config: good, class: hsm.Internal},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := hsmtest.Fault(t, "a")
			f.Set(tc.rules...)
			f.ResetCalls()
			_, err := pkcs11.Open(ctx, tc.config(f))
			require.ErrorIs(t, err, tc.class)
			require.Equal(t, tc.logins, f.Calls()["C_Login"], "a PIN reaches the token once")
			// A failed try leaves nothing behind.
			f.Set()
			require.NoError(t, roundTrip(f.Open("a"), hsmtest.AES(t, f.Open("a"), "key")))
		})
	}
}

// TestPINRefusedLater: a PIN that was good and is refused after a loss is not
// tried again, however often the token is used.
func TestPINRefusedLater(t *testing.T) {
	f := hsmtest.Fault(t, "a")
	token := f.Open("a")
	key := hsmtest.AES(t, token, "key")
	f.ResetCalls()
	f.Set("lose-sessions", "fail C_Login 0xa0")
	for range 10 {
		require.ErrorIs(t, roundTrip(token, key), hsm.PINIncorrect)
	}
	require.Equal(t, 1, f.Calls()["C_Login"])
	f.Set()
	require.ErrorIs(t, roundTrip(token, key), hsm.PINIncorrect)
	require.NoError(t, token.Close())
	require.NoError(t, roundTrip(f.Open("a"), key), "opened anew, it gets a new chance")
}

func TestSecondOpener(t *testing.T) {
	ctx := context.Background()
	f := hsmtest.Fault(t, "a")
	first := f.Open("a")
	key := hsmtest.AES(t, first, "key")
	f.ResetCalls()

	wrong := f.Config("a")
	wrong.PIN = hsm.NewSecret("654321")
	_, err := pkcs11.Open(ctx, wrong)
	require.ErrorIs(t, err, hsm.PINIncorrect)
	second, err := pkcs11.Open(ctx, f.Config("a"))
	require.NoError(t, err)
	require.Zero(t, f.Calls()["C_Login"], "the PIN is compared, not tried")

	require.NoError(t, roundTrip(second, key))
	require.NoError(t, second.Close())
	require.NoError(t, second.Close(), "closing twice is harmless")
	require.ErrorIs(t, roundTrip(second, key), hsm.Closed)
	require.ErrorIs(t, second.Health(ctx), hsm.Closed)
	require.NoError(t, roundTrip(first, key), "the other handle is not closed with it")
}

func TestSelectBySerialAndSlot(t *testing.T) {
	ctx := context.Background()
	tokens := hsmtest.SoftHSM(t, "a")
	info := tokens.Open("a").Info()
	require.Equal(t, "softhsm2", info.Profile)
	require.Equal(t, "SoftHSM project", info.Manufacturer)
	for name, sel := range map[string]hsm.Selector{
		"serial": {Module: tokens.Module, Serial: info.Serial},
		"slot":   {Module: tokens.Module, Slot: &info.Slot},
		"all":    {Module: tokens.Module, Label: info.Label, Serial: info.Serial, Slot: &info.Slot},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := pkcs11.Open(ctx, hsm.Config{Selector: sel, PIN: hsm.NewSecret(hsmtest.PIN)})
			require.NoError(t, err)
			require.Equal(t, info, token.Info())
			require.NoError(t, token.Close())
		})
	}
	_, err := pkcs11.Open(ctx, hsm.Config{Selector: hsm.Selector{Module: tokens.Module, Label: info.Label, Serial: "other"}})
	require.ErrorIs(t, err, hsm.TokenMissing)
}

func TestTwoTokensOfOneName(t *testing.T) {
	ctx := context.Background()
	f := hsmtest.Fault(t, "a")
	require.NoError(t, f.Twin("a"))
	_, err := pkcs11.Open(ctx, f.Config("a"))
	require.ErrorIs(t, err, hsm.TokenAmbiguous)
	lib, err := pkcs11.Library(f.Module, "")
	require.NoError(t, err)
	entries, err := lib.Tokens(ctx)
	require.NoError(t, err)
	opened := 0
	for _, e := range entries {
		if e.Label != "a" {
			continue
		}
		cfg := f.Config("a")
		cfg.Serial = e.Serial
		token := f.OpenConfig(cfg)
		require.Equal(t, e.Serial, token.Info().Serial)
		opened++
	}
	require.Equal(t, 2, opened)
}

// TestMadeByAnotherProcess: a token that did not exist when the module was
// initialised is found without a restart, while other tokens are in use.
func TestMadeByAnotherProcess(t *testing.T) {
	f := hsmtest.Fault(t, "a")
	a := f.Open("a")
	key := hsmtest.AES(t, a, "key")
	f.MakeOutside("late")
	late := f.Open("late")
	require.NoError(t, roundTrip(late, hsmtest.AES(t, late, "key")))
	require.NoError(t, roundTrip(a, key))
}

func TestOpenAndCloseAtOnce(t *testing.T) {
	tokens := hsmtest.SoftHSM(t, "a")
	keep := tokens.Open("a")
	key := hsmtest.AES(t, keep, "key")
	require.NoError(t, keep.Close())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				token, err := pkcs11.Open(context.Background(), tokens.Config("a"))
				if !assert.NoError(t, err) {
					return
				}
				assert.NoError(t, roundTrip(token, key))
				assert.NoError(t, token.Close())
			}
		})
	}
	wg.Wait()
}

func TestModuleHasOneInitialiseArgument(t *testing.T) {
	module := hsmtest.ModulePath(t)
	hsmtest.Dir(t)
	_, err := pkcs11.Library(module, "")
	require.NoError(t, err)
	_, err = pkcs11.Library(module, "configdir='/tmp'")
	require.ErrorIs(t, err, hsm.BadInput)
}

func TestSecretNeverPrints(t *testing.T) {
	cfg := hsm.Config{PIN: hsm.NewSecret("hunter2")}
	text, err := cfg.PIN.MarshalText()
	require.NoError(t, err)
	for _, s := range []string{
		fmt.Sprint(cfg), fmt.Sprintf("%v %+v %#v %s %q", cfg, cfg, cfg, cfg.PIN, cfg.PIN),
		fmt.Sprintf("%x %d", cfg.PIN, cfg.PIN), cfg.PIN.LogValue().String(), string(text),
	} {
		require.NotContains(t, s, "hunter2")
		require.NotContains(t, s, fmt.Sprintf("%x", "hunter2"))
	}
	require.True(t, cfg.PIN.Equal(hsm.NewSecret("hunter2")))
	require.False(t, cfg.PIN.Equal(hsm.NewSecret("hunter")))
}

func TestSetPIN(t *testing.T) {
	ctx := context.Background()
	f := hsmtest.Fault(t, "a")
	token := f.Open("a")
	key := hsmtest.AES(t, token, "key")
	fresh := hsm.NewSecret("new-secret-1")
	require.ErrorIs(t, token.SetPIN(ctx, hsm.NewSecret("wrong"), fresh), hsm.PINIncorrect)
	require.Zero(t, f.Calls()["C_SetPIN"])
	require.ErrorIs(t, token.SetPIN(ctx, hsm.NewSecret(hsmtest.PIN), hsm.Secret{}), hsm.BadInput)
	require.NoError(t, token.SetPIN(ctx, hsm.NewSecret(hsmtest.PIN), fresh))
	f.Set("lose-sessions")
	require.NoError(t, roundTrip(token, key), "it logs in again with the new PIN")
	_, err := pkcs11.Open(ctx, f.Config("a"))
	require.ErrorIs(t, err, hsm.PINIncorrect)
	require.NoError(t, token.Close())
	_, err = pkcs11.Open(ctx, f.Config("a"))
	require.ErrorIs(t, err, hsm.PINIncorrect)
	cfg := f.Config("a")
	cfg.PIN = fresh
	require.NoError(t, roundTrip(f.OpenConfig(cfg), key))
}
