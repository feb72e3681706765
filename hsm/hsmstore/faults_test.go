package hsmstore_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmstore"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

const (
	internal  = keystore.KindInternal
	timeout   = keystore.KindDependencyTimeout
	unavail   = keystore.KindKeyUnavailable
	state     = keystore.KindInvalidState
	cipher    = keystore.KindInvalidCiphertext
	nope      = keystore.KindUnsupportedOperation
	cluster   = keystore.KindCloudHsmClusterInvalidConfig
	connState = keystore.KindCustomKeyStoreInvalidState
)

// expected says, class by class, what callers and operators are told: kinds for use, create, random and manage in a default
// store, the same in an AWS_CLOUDHSM store, the ConnectionErrorCode, and a word of the orphan's reason.
var expected = map[hsm.Class]struct {
	plain, cloud [4]keystore.Kind
	conn         keystore.ConnErrorCode
	reason       string
}{
	hsm.Internal:          {away, awayCloud, "INTERNAL_ERROR", "failed"},
	hsm.ModuleMissing:     {away, awayCloud, "CLUSTER_NOT_FOUND", "module"},
	hsm.TokenMissing:      {away, awayCloud, "CLUSTER_NOT_FOUND", "not there"},
	hsm.TokenAmbiguous:    {away, awayCloud, "CLUSTER_NOT_FOUND", "several tokens"},
	hsm.TokenGone:         {away, awayCloud, "INSUFFICIENT_CLOUDHSM_HSMS", "gone"},
	hsm.TokenDoubtful:     {away, awayCloud, "INSUFFICIENT_CLOUDHSM_HSMS", "be well"},
	hsm.NotInitialized:    {away, awayCloud, "INSUFFICIENT_CLOUDHSM_HSMS", "blank"},
	hsm.SessionLost:       {away, awayCloud, "NETWORK_ERRORS", "session"},
	hsm.PINIncorrect:      {away, awayCloud, "INVALID_CREDENTIALS", "refused the PIN"},
	hsm.PINLocked:         {away, awayCloud, "USER_LOCKED_OUT", "locked"},
	hsm.PINNotSet:         {away, awayCloud, "USER_NOT_FOUND", "no user PIN"},
	hsm.PINExpired:        {away, awayCloud, "INVALID_CREDENTIALS", "expired"},
	hsm.NotLoggedIn:       {away, awayCloud, "INTERNAL_ERROR", "login"},
	hsm.LoggedInElsewhere: {away, awayCloud, "USER_LOGGED_IN", "another user"},
	hsm.Busy:              {all(timeout), all(internal), "NETWORK_ERRORS", "session"},
	hsm.Timeout:           {all(timeout), awayCloud, "NETWORK_ERRORS", "in time"},
	hsm.Stuck:             {all(timeout), awayCloud, "NETWORK_ERRORS", "hang"},
	hsm.BadCiphertext:     {all(cipher), all(cipher), "INTERNAL_ERROR", "authentic"},
	hsm.KeyMissing: {[4]keystore.Kind{unavail, internal, internal, internal},
		[4]keystore.Kind{state, internal, internal, internal}, "INTERNAL_ERROR", "not on the token"},
	hsm.KeyInvalid: {[4]keystore.Kind{unavail, internal, internal, internal},
		[4]keystore.Kind{state, internal, internal, internal}, "INTERNAL_ERROR", "another object"},
	hsm.Unsupported: {[4]keystore.Kind{internal, nope, internal, internal},
		[4]keystore.Kind{state, nope, internal, internal}, "INTERNAL_ERROR", "cannot"},
	hsm.ReadOnly: {all(internal), [4]keystore.Kind{state, cluster, internal, internal}, "INTERNAL_ERROR", "write-protected"},
	hsm.Refused:  {all(internal), [4]keystore.Kind{state, cluster, internal, internal}, "INTERNAL_ERROR", "refused"},
	hsm.Full:     {all(internal), [4]keystore.Kind{state, cluster, internal, internal}, "INTERNAL_ERROR", "full"},
	hsm.BadInput: {all(internal), all(internal), "INTERNAL_ERROR", "request"},
	hsm.Closed:   {away, [4]keystore.Kind{state, connState, connState, connState}, "INTERNAL_ERROR", "disconnected"},
}

var (
	away      = [4]keystore.Kind{unavail, timeout, timeout, timeout}
	awayCloud = [4]keystore.Kind{state, cluster, timeout, timeout}
)

func all(k keystore.Kind) [4]keystore.Kind { return [4]keystore.Kind{k, k, k, k} }

func classes() []hsm.Class {
	var out []hsm.Class
	for c := hsm.Internal; !strings.HasPrefix(c.String(), "Class("); c++ {
		out = append(out, c)
	}
	return out
}

func TestEveryClassHasItsFaults(t *testing.T) {
	require.Len(t, expected, len(classes()))
	for _, class := range classes() {
		want, listed := expected[class]
		require.True(t, listed, "class %s", class)
		err := fmt.Errorf("deep down: %w", &hsm.Error{Op: "C_Something", Class: class, Code: 0x32})
		for _, c := range []backend.Call{backend.CallUse, backend.CallCreate, backend.CallRandom, backend.CallManage} {
			t.Run(fmt.Sprintf("%s/%d", class, c), func(t *testing.T) {
				plain, cloud := hsmstore.FaultOf("", c, err), hsmstore.FaultOf(keystore.StoreCloudHSM, c, err)
				assert.Equal(t, want.plain[c], keystore.KindOf(plain), "default store")
				assert.Equal(t, want.cloud[c], keystore.KindOf(cloud), "AWS_CLOUDHSM store")
				for _, f := range []error{plain, cloud} {
					assert.ErrorIs(t, f, class)
					var fault *keystore.Fault
					require.ErrorAs(t, f, &fault)
					assert.NotContains(t, fault.Text, "CKR", "callers are not shown the token's codes")
					assert.Contains(t, fault.Cause.Error(), "CKR_DEVICE_REMOVED")
					if c == backend.CallManage {
						assert.Contains(t, fault.Cause.Error(), want.reason)
					}
					if fault.Kind != internal && fault.Kind != cipher {
						assert.NotEmpty(t, fault.Text)
					}
				}
			})
		}
		t.Run(class.String()+"/connect", func(t *testing.T) {
			var ce *backend.ConnectError
			require.ErrorAs(t, hsmstore.ConnectErrorOf(err), &ce)
			assert.Equal(t, want.conn, ce.Code)
			assert.ErrorIs(t, ce, class)
		})
	}
}

func TestClusterOutOfReachHasTheDocumentedText(t *testing.T) {
	err := hsmstore.FaultOf(keystore.StoreCloudHSM, backend.CallUse, &hsm.Error{Op: "C_Encrypt", Class: hsm.TokenGone})
	var fault *keystore.Fault
	require.ErrorAs(t, err, &fault)
	assert.Equal(t, "KMS cannot communicate with your CloudHSM cluster", fault.Text)
}

func TestForeignErrorsAreTheTokensFault(t *testing.T) {
	err := hsmstore.FaultOf("", backend.CallUse, errors.New("something else"))
	assert.Equal(t, unavail, keystore.KindOf(err))
	assert.NoError(t, hsmstore.FaultOf("", backend.CallUse, nil))
}
