package hsmtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/strongroom/strongroom/hsm"
)

// Suite is what every module must pass that Strongroom keeps keys on. open
// gives the same token each time.
func Suite(t *testing.T, open func(testing.TB) *hsm.Token) {
	t.Helper()
	tests := map[string]func(*testing.T, *hsm.Token){
		"seal and open":             suiteSeal,
		"find and destroy":          suiteFind,
		"keys are what was ordered": suiteAttributes,
		"random":                    suiteRandom,
		"health":                    suiteHealth,
		"many callers":              suiteParallel,
		"every kind of key":         suiteKinds,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
	t.Run("survives being closed", func(t *testing.T) { suiteReopen(t, open) })
}

func suiteSeal(t *testing.T, token *hsm.Token) {
	ctx := context.Background()
	key, other := AES(t, token, "suite: seal"), AES(t, token, "suite: seal, other")
	for _, size := range []int{0, 1, 15, 16, 17, 32, 4096, 40_000} {
		plaintext, aad := bytes.Repeat([]byte{7}, size), bytes.Repeat([]byte{9}, size/2)
		sealed, err := token.Seal(ctx, key, aad, plaintext, nil)
		check(t, err)
		if len(sealed) != size+hsm.SealOverhead {
			t.Fatalf("%d bytes sealed are %d", size, len(sealed))
		}
		opened, err := token.Open(ctx, key, aad, sealed, nil)
		check(t, err)
		if !bytes.Equal(opened, plaintext) {
			t.Fatalf("%d bytes came back as others", size)
		}
		again, err := token.Seal(ctx, key, aad, plaintext, nil)
		check(t, err)
		if bytes.Equal(again[:hsm.IVSize], sealed[:hsm.IVSize]) {
			t.Fatal("one IV twice")
		}
		for i, spoil := range []func() ([]byte, error){
			func() ([]byte, error) { return token.Open(ctx, other, aad, sealed, nil) },
			func() ([]byte, error) { return token.Open(ctx, key, append(aad, 0), sealed, nil) },
			func() ([]byte, error) { return token.Open(ctx, key, aad, sealed[:len(sealed)-1], nil) },
			func() ([]byte, error) {
				bad := bytes.Clone(sealed)
				bad[len(bad)-1] ^= 0x80
				return token.Open(ctx, key, aad, bad, nil)
			},
		} {
			if _, err := spoil(); !errors.Is(err, hsm.BadCiphertext) {
				t.Fatalf("spoilt in way %d: %v", i, err)
			}
		}
	}
}

func suiteFind(t *testing.T, token *hsm.Token) {
	ctx := context.Background()
	key := AES(t, token, "suite: find")
	for name, find := range map[string]func() ([]hsm.Object, error){
		"by id":    func() ([]hsm.Object, error) { return token.Find(ctx, key) },
		"by label": func() ([]hsm.Object, error) { return token.FindLabel(ctx, key.Label) },
	} {
		found, err := find()
		check(t, err)
		if len(found) != 1 || !bytes.Equal(found[0].ID, key.ID) || found[0].Label != key.Label {
			t.Fatalf("%s: %+v", name, found)
		}
	}
	seen := 0
	check(t, token.Objects(ctx, func(o hsm.Object) error {
		if o.Label == key.Label {
			seen++
		}
		return nil
	}))
	if seen != 1 {
		t.Fatalf("seen %d times among all objects", seen)
	}
	n, err := token.Destroy(ctx, key)
	check(t, err)
	if n != 1 {
		t.Fatalf("%d destroyed", n)
	}
	if found, err := token.Find(ctx, key); err != nil || len(found) != 0 {
		t.Fatalf("after destroying: %v, %v", found, err)
	}
	if _, err := token.Seal(ctx, key, nil, nil, nil); !errors.Is(err, hsm.KeyMissing) {
		t.Fatalf("use after destroying: %v", err)
	}
}

func suiteAttributes(t *testing.T, token *hsm.Token) {
	for _, extractable := range []bool{false, true} {
		ref := Ref(fmt.Sprint("suite: extractable ", extractable))
		o, err := token.Generate(context.Background(), hsm.Template{
			KeyRef: ref, Kind: hsm.AES256, Usage: hsm.UseEncrypt | hsm.UseDecrypt, Extractable: extractable,
		})
		check(t, err)
		if !o.Sensitive || !o.Private || o.Extractable != extractable || o.Bits != 256 ||
			o.Usage != hsm.UseEncrypt|hsm.UseDecrypt || o.Class != "CKO_SECRET_KEY" || o.KeyType != "CKK_AES" {
			t.Fatalf("%+v", o)
		}
	}
}

func suiteRandom(t *testing.T, token *hsm.Token) {
	a, b := make([]byte, 5000), make([]byte, 5000)
	check(t, token.Random(context.Background(), a))
	check(t, token.Random(context.Background(), b))
	if bytes.Equal(a, b) || bytes.Equal(a[4900:], make([]byte, 100)) {
		t.Fatal("not random")
	}
}

func suiteHealth(t *testing.T, token *hsm.Token) {
	check(t, token.Health(context.Background()))
	if s := token.Stats(); !s.Healthy || s.LastError != "" || s.Epoch == 0 {
		t.Fatalf("%+v", s)
	}
}

func suiteParallel(t *testing.T, token *hsm.Token) {
	ctx := context.Background()
	keys := make([]hsm.KeyRef, 4)
	for i := range keys {
		keys[i] = AES(t, token, fmt.Sprint("suite: parallel ", i))
	}
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for range 50 {
				key := keys[i%len(keys)]
				sealed, err := token.Seal(ctx, key, nil, []byte(key.Label), nil)
				if err == nil {
					var opened []byte
					if opened, err = token.Open(ctx, key, nil, sealed, nil); err == nil && string(opened) != key.Label {
						err = fmt.Errorf("opened %q", opened)
					}
				}
				if err != nil {
					t.Errorf("caller %d: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func suiteReopen(t *testing.T, open func(testing.TB) *hsm.Token) {
	ctx := context.Background()
	var key hsm.KeyRef
	var sealed []byte
	t.Run("before", func(t *testing.T) {
		token := open(t)
		key = AES(t, token, "suite: reopen")
		var err error
		sealed, err = token.Seal(ctx, key, nil, []byte("kept"), nil)
		check(t, err)
	})
	t.Run("after", func(t *testing.T) {
		opened, err := open(t).Open(ctx, key, nil, sealed, nil)
		check(t, err)
		if string(opened) != "kept" {
			t.Fatalf("opened %q", opened)
		}
	})
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
