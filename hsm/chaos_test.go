package hsm_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
)

// TestChaos: whatever happens to the token, nothing that it answers is wrong.
// Calls may fail, but only for reasons of the token; a key that is there is
// never said to be missing, and a good ciphertext never to be bad; and all that
// is on the token at the end is what somebody ordered.
func TestChaos(t *testing.T) {
	const rounds = 80
	rules := []string{
		"lose-sessions", "gone", "gone sticky", "gone-quietly", "gone-quietly sticky", "sessions 2",
		"fail * 0x30 times 3", "fail * 0x05 times 2", "fail C_Decrypt 0x05 times 2", "fail C_EncryptInit 0x82 times 2",
		"fail C_Login 0x05 times 1", "fail C_Initialize 0x05 times 1", "fail C_DestroyObject 0x30 times 1 done",
		"fail C_GenerateKey 0x05 times 1 done", "fail C_FindObjects 0x30 times 1", "fail C_CopyObject 0x05 times 3",
		"slow * 5 times 20", "hang C_Encrypt times 1", "hang C_FindObjects times 1", "",
	}
	f := hsmtest.Fault(t, "a")
	cfg := f.Config("a")
	cfg.CallTimeout, cfg.HealthInterval = time.Second, 50*time.Millisecond
	token := f.OpenConfig(cfg)
	keys := make([]hsm.KeyRef, 4)
	for i := range keys {
		keys[i] = hsmtest.AES(t, token, fmt.Sprint("kept ", i))
	}
	over := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() { useInChaos(t, token, keys[i], over) })
	}
	var ordered []hsm.KeyRef
	wg.Go(func() { ordered = orderInChaos(t, token, over) })

	random := rand.New(rand.NewPCG(1, 2))
	for round := range rounds {
		f.Set(rules[random.IntN(len(rules))], fmt.Sprint("# round ", round))
		time.Sleep(time.Duration(random.IntN(60)) * time.Millisecond)
	}
	f.Set()
	close(over)
	wg.Wait()

	for _, key := range keys {
		eventually(t, func() error { return roundTrip(token, key) })
	}
	var found []string
	eventually(t, func() error {
		found = nil
		return token.Objects(context.Background(), func(o hsm.Object) error {
			found = append(found, o.Label)
			return nil
		})
	})
	allowed := []string{hsm.CanaryLabel}
	for _, ref := range append(ordered, keys...) {
		allowed = append(allowed, ref.Label)
	}
	for _, label := range found {
		assert.Contains(t, allowed, label)
	}
	for _, key := range keys {
		assert.Equal(t, 1, count(found, key.Label))
	}
	settled(t, token)
}

func count(all []string, one string) int {
	n := 0
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}

// mayFail are the reasons for which calls may fail in chaos.
var mayFail = []hsm.Class{
	hsm.TokenGone, hsm.TokenDoubtful, hsm.SessionLost, hsm.NotLoggedIn, hsm.Internal, hsm.Busy, hsm.Timeout, hsm.Stuck,
}

func failsForTheToken(t *testing.T, err error) bool {
	return err == nil || assert.True(t, slices.Contains(mayFail, hsm.ClassOf(err)), "%v", err)
}

func useInChaos(t *testing.T, token *hsm.Token, key hsm.KeyRef, over <-chan struct{}) {
	for {
		select {
		case <-over:
			return
		default:
		}
		err := roundTrip(token, key)
		if !failsForTheToken(t, err) {
			return
		}
		found, err := token.Find(context.Background(), key)
		if !failsForTheToken(t, err) || err == nil && !assert.Len(t, found, 1, "it is there") {
			return
		}
	}
}

// orderInChaos makes and destroys keys, and returns those whose end it does not
// know.
func orderInChaos(t *testing.T, token *hsm.Token, over <-chan struct{}) []hsm.KeyRef {
	var open []hsm.KeyRef
	for i := 0; ; i++ {
		select {
		case <-over:
			return open
		default:
		}
		ref := hsmtest.Ref(fmt.Sprint("ordered ", i))
		_, err := token.Generate(context.Background(), hsm.Template{KeyRef: ref, Kind: hsm.AES256, Usage: hsm.UseEncrypt})
		if !failsForTheToken(t, err) {
			return append(open, ref)
		}
		n, destroying := token.Destroy(context.Background(), ref)
		// A call that was given up may make its key yet, after a search for it.
		if !failsForTheToken(t, destroying) || destroying != nil || errors.Is(err, hsm.Timeout) {
			open = append(open, ref)
			continue
		}
		if err == nil && !assert.Equal(t, 1, n, "a key that was made was there to be destroyed") {
			return open
		}
	}
}
