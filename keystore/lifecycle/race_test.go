package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/backend/backendtest"
	"github.com/strongroom/strongroom/keystore/lifecycle"
	"github.com/strongroom/strongroom/state/statetest"
)

// A deletion that is cancelled, or scheduled anew, between the sweeper's look and its transaction is not done.
func TestCancelInTheLastMoment(t *testing.T) {
	for name, again := range map[string]bool{"cancelled": false, "cancelled and scheduled again": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			k := w.create(lifecycle.CreateKeyInput{})
			w.doom(k)
			late := &statetest.Before{DB: w.db}
			cfg := w.cfg
			cfg.DB = late
			late.Do = func() {
				_, err := w.CancelKeyDeletion(t.Context(), w.root, string(k.ID))
				require.NoError(t, err)
				if again {
					_, err = w.ScheduleKeyDeletion(t.Context(), w.root, string(k.ID), 7)
					require.NoError(t, err)
				}
			}
			report, err := lifecycle.NewSweeper(lifecycle.New(cfg)).SweepOnce(t.Context(), w.clock.Now())
			require.NoError(t, err)
			assert.Equal(t, lifecycle.SweepReport{}, report)
			assert.Equal(t, keystore.MaterialLive, w.row(k.ARN()).State)
			assert.Len(t, w.token.List(), 1)
		})
	}
}

// The state is checked in the transaction too: what was admitted before may have changed.
func TestChangesMeetTheStateAsItIs(t *testing.T) {
	for name, call := range map[string]func(s *lifecycle.Service, w *world, k *keystore.Key) error{
		"DisableKey": func(s *lifecycle.Service, w *world, k *keystore.Key) error {
			return s.DisableKey(t.Context(), w.root, string(k.ID))
		},
		"TagResource": func(s *lifecycle.Service, w *world, k *keystore.Key) error {
			return s.TagResource(t.Context(), w.root, string(k.ID), []keystore.Tag{{Key: "a"}})
		},
		"CreateAlias": func(s *lifecycle.Service, w *world, k *keystore.Key) error {
			return s.CreateAlias(t.Context(), w.root, "alias/x", string(k.ID))
		},
		"ScheduleKeyDeletion": func(s *lifecycle.Service, w *world, k *keystore.Key) error {
			_, err := s.ScheduleKeyDeletion(t.Context(), w.root, string(k.ID), 30)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			k := w.create(lifecycle.CreateKeyInput{})
			late := &statetest.Before{DB: w.db}
			cfg := w.cfg
			cfg.DB = late
			late.Do = func() {
				_, err := w.ScheduleKeyDeletion(t.Context(), w.root, string(k.ID), 7)
				require.NoError(t, err)
			}
			faulty(t, call(lifecycle.New(cfg), w, k), keystore.KindInvalidState, k.ARN()+" is pending deletion.")
		})
	}
}

func TestAliasThatMovesMeanwhile(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.create(lifecycle.CreateKeyInput{}), w.create(lifecycle.CreateKeyInput{}), w.create(lifecycle.CreateKeyInput{})
	require.NoError(t, w.CreateAlias(t.Context(), w.root, "alias/x", string(a.ID)))
	late := &statetest.Before{DB: w.db}
	cfg := w.cfg
	cfg.DB = late
	late.Do = func() { require.NoError(t, w.UpdateAlias(t.Context(), w.root, "alias/x", string(b.ID))) }
	require.NoError(t, lifecycle.New(cfg).UpdateAlias(t.Context(), w.root, "alias/x", string(c.ID)))
	v, err := w.DescribeKey(t.Context(), w.root, "alias/x", nil)
	require.NoError(t, err)
	assert.Equal(t, c.ID, v.Key.ID)
}

// The permission to delete an alias is one on the key that it names: of a key that it names only now, too.
func TestAliasThatMovesWhileItIsDeleted(t *testing.T) {
	w := newWorld(t)
	mine, other := w.create(lifecycle.CreateKeyInput{}), w.create(lifecycle.CreateKeyInput{})
	require.NoError(t, w.CreateAlias(t.Context(), w.root, "alias/x", string(mine.ID)))
	c := w.user("ann", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:DeleteAlias","Resource":["`+mine.ARN()+
		`","`+keystore.AliasARN(region, account, "alias/x")+`"]}]}`)
	late := &statetest.Before{DB: w.db}
	cfg := w.cfg
	cfg.DB = late
	late.Do = func() { require.NoError(t, w.UpdateAlias(t.Context(), w.root, "alias/x", string(other.ID))) }
	faulty(t, lifecycle.New(cfg).DeleteAlias(t.Context(), c, "alias/x"), keystore.KindAccessDenied, "*")
	late.Do = func() { require.NoError(t, w.UpdateAlias(t.Context(), w.root, "alias/x", string(mine.ID))) }
	require.NoError(t, lifecycle.New(cfg).DeleteAlias(t.Context(), w.root, "alias/x"), "root may delete it from either")
	_, err := w.DescribeKey(t.Context(), w.root, "alias/x", nil)
	faulty(t, err, keystore.KindNotFound, "*")
}

// A policy names nobody who was deleted while it was on its way, so that another principal of the same ARN can't come into it.
func TestPrincipalThatIsDeletedMeanwhile(t *testing.T) {
	var gone func(step string)
	w := newWorld(t, func(c *lifecycle.Config) { c.Hook = func(step string) { gone(step) } })
	gone = func(string) {}
	k := w.create(lifecycle.CreateKeyInput{})
	for name, leave := range map[string]func(tx keystore.Tx, arn string) error{
		"deleted": func(tx keystore.Tx, arn string) error { return tx.DeletePrincipal(arn) },
		"leaving": func(tx keystore.Tx, arn string) error {
			p, err := tx.Principal(arn)
			if err == nil {
				p.Leaving = true
				err = tx.UpdatePrincipal(p)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			const text = "Policy contains a statement with one or more invalid principals."
			ann := w.user("ann-" + name)
			policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["` + keystore.RootARN(account) + `","` + ann.Principal +
				`"]},"Action":"kms:*","Resource":"*"}]}`
			late := &statetest.Before{DB: w.db}
			cfg := w.cfg
			cfg.DB = late
			late.Do = func() {
				require.NoError(t, w.db.Update(t.Context(), func(tx keystore.Tx) error { return leave(tx, ann.Principal) }))
			}
			err := lifecycle.New(cfg).PutKeyPolicy(t.Context(), w.root, &lifecycle.PutKeyPolicyInput{KeyID: string(k.ID), Policy: policy})
			faulty(t, err, keystore.KindMalformedPolicyDocument, text)

			bob := w.user("bob-" + name)
			gone = func(step string) {
				if step == lifecycle.StepCreateGenerated {
					require.NoError(t, w.db.Update(t.Context(), func(tx keystore.Tx) error { return leave(tx, bob.Principal) }))
				}
			}
			defer func() { gone = func(string) {} }()
			before := len(w.token.List())
			_, err = w.CreateKey(t.Context(), w.root, &lifecycle.CreateKeyInput{Policy: strings.ReplaceAll(policy, ann.Principal, bob.Principal)})
			faulty(t, err, keystore.KindMalformedPolicyDocument, text)
			assert.Len(t, w.token.List(), before, "nothing stays on the token")
		})
	}
}

func TestResolvedWhileItIsDestroyed(t *testing.T) {
	var w *world
	var o *lifecycle.Orphan
	w = newWorld(t, func(c *lifecycle.Config) {
		c.Hook = func(step string) {
			if step == lifecycle.StepDestroyed && o != nil {
				_, err := lifecycle.NewOrphans(w.Service).Resolve(t.Context(), o.ID, "by hand")
				require.NoError(t, err)
				o = nil
			}
		}
	})
	id, _ := w.store("one")
	k, orphan := w.orphaned(id)
	o = orphan
	_, err := lifecycle.NewOrphans(w.Service).Destroy(t.Context(), orphan.ID)
	require.NoError(t, err)
	assert.Equal(t, keystore.MaterialResolved, w.row(k.ARN()).State, "the person's word stays")
}

// changing is a token on which something happens right after it was listed.
type changing struct {
	*backendtest.Memory
	then func()
}

func (c *changing) Objects(ctx context.Context, fn func(backend.Object) error) error {
	err := c.Memory.Objects(ctx, fn)
	c.then()
	return err
}

// Keys come and go while a scan runs; none of that is a difference.
func TestScanOfATokenThatChanges(t *testing.T) {
	w := newWorld(t)
	id, token := w.store("one")
	_, orphan := w.orphaned(id)
	doomed := w.inStore(id)
	w.doom(doomed)
	w.stores.set(id, &changing{token, func() {
		_, err := lifecycle.NewOrphans(w.Service).Destroy(t.Context(), orphan.ID)
		require.NoError(t, err)
		w.sweep()
		w.inStore(id)
	}}, keystore.Connected)
	r, err := lifecycle.NewOrphans(w.Service).Scan(t.Context(), lifecycle.ScanFilter{})
	require.NoError(t, err)
	assert.Empty(t, r.Orphaned)
	assert.Empty(t, r.Missing)
	assert.Empty(t, r.Gone)
	assert.Empty(t, r.Unknown)
}

// Everything at once, with the sweeper and the reconciler running.
func TestConcurrentOperations(t *testing.T) {
	w := newWorld(t)
	one, tokenOne := w.store("one")
	ctx, cancel := contextOf(t)
	var background, callers sync.WaitGroup
	background.Go(func() { assert.NoError(t, lifecycle.NewSweeper(w.Service).Run(ctx)) })
	background.Go(func() { assert.NoError(t, lifecycle.NewReconciler(w.Service).Run(ctx)) })
	for g := range uint64(6) {
		callers.Go(func() {
			r := rand.New(rand.NewPCG(g, 7))
			var mine []string
			for i := range 25 {
				in := &lifecycle.CreateKeyInput{}
				if r.IntN(2) == 0 {
					in.Origin, in.CustomKeyStoreID = "AWS_CLOUDHSM", string(one)
				}
				v, err := w.CreateKey(t.Context(), w.root, in)
				if !assert.NoError(t, err) {
					return
				}
				mine = append(mine, string(v.Key.ID))
				id := mine[r.IntN(len(mine))]
				errs := []error{
					w.CreateAlias(t.Context(), w.root, fmt.Sprintf("alias/%d-%d", g, i), id),
					w.UpdateAlias(t.Context(), w.root, fmt.Sprintf("alias/%d-%d", g, r.IntN(i+1)), string(v.Key.ID)),
					w.DisableKey(t.Context(), w.root, id),
					w.TagResource(t.Context(), w.root, id, []keystore.Tag{{Key: "k", Value: id}}),
				}
				_, err = w.ScheduleKeyDeletion(t.Context(), w.root, id, 7)
				errs = append(errs, err)
				if r.IntN(3) == 0 {
					_, err = w.CancelKeyDeletion(t.Context(), w.root, id)
					errs = append(errs, err)
				}
				w.clock.advance(12 * time.Hour)
				for _, err := range errs {
					if err != nil {
						var f *keystore.Fault
						assert.True(t, errors.As(err, &f), "%v", err)
						assert.NotEqual(t, keystore.KindInternal, keystore.KindOf(err), "%v", err)
					}
				}
			}
		})
	}
	callers.Wait()
	cancel()
	background.Wait()
	w.restart()
	w.sweep()
	w.reconcile()
	w.honest(w.token, tokenOne)
	for _, m := range w.rows("") {
		assert.Contains(t, []keystore.MaterialState{keystore.MaterialLive, keystore.MaterialDestroyed}, m.State)
	}
}

// beforeView is a database that runs something once before the n-th view from now.
type beforeView struct {
	keystore.DB
	mu sync.Mutex
	n  int
	do func()
}

func (b *beforeView) arm(n int, do func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n, b.do = n, do
}

func (b *beforeView) View(ctx context.Context, fn func(tx keystore.Tx) error) error {
	b.mu.Lock()
	b.n--
	do := b.do
	if b.n != 0 {
		do = nil
	}
	b.mu.Unlock()
	if do != nil {
		do()
	}
	return b.DB.View(ctx, fn)
}

// The reconciler settles an old row of a key while somebody begins a new change of the key: what is being made is left alone.
func TestReconcilerLeavesWhatIsBegunBesideItAlone(t *testing.T) {
	p := newPlanet(t)
	db := &beforeView{DB: p.db}
	planned, goOn := make(chan struct{}), make(chan struct{})
	p.cfg.DB, p.cfg.Hook = db, p.fuse.hook
	p.begin()
	k := p.create(lifecycle.CreateKeyInput{Origin: "EXTERNAL"})
	p.fuse.arm(lifecycle.StepWrapPlanned, 0)
	parameters := func() (*lifecycle.ImportParameters, error) {
		return p.GetParametersForImport(t.Context(), p.root, string(k.ID), "RSAES_OAEP_SHA_1", "RSA_2048")
	}
	require.Equal(t, lifecycle.StepWrapPlanned, p.fuse.run(func() { _, _ = parameters() }))
	p.fuse.disarm()
	p.cfg.Hook = func(step string) {
		if step == lifecycle.StepWrapPlanned {
			close(planned)
			<-goOn
		}
	}
	p.begin()
	type answer struct {
		out *lifecycle.ImportParameters
		err error
	}
	answers := make(chan answer, 1)
	db.arm(2, func() { // the first lists the open rows, the second reads those of the key
		go func() {
			out, err := parameters()
			answers <- answer{out, err}
		}()
		<-planned
	})
	assert.Equal(t, lifecycle.ReconcileReport{Destroyed: 1}, p.reconcile(), "the old row alone")
	close(goOn)
	a := <-answers
	require.NoError(t, a.err)
	_, err := p.ImportKeyMaterial(t.Context(), p.root, wrapTo(t, k.ID, a.out, make([]byte, 32)))
	require.NoError(t, err)
	p.clean()
}
