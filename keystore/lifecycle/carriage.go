package lifecycle

import (
	"context"
	"errors"
	"fmt"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// carryLabel labels what serves a transfer between tokens.
const carryLabel = applianceLabel + "carry"

// carriage moves material of a key to a related key on another token. What it needs on the tokens has rows that never become
// live: they are condemned and destroyed at its end, or by the Reconciler after a crash. Whoever makes it has entered both
// keys in the registry.
type carriage struct {
	s          *Service
	from, to   *keystore.Key
	src, dst   backend.Backend
	pair       *keystore.Material // on the receiving token
	sent, kept *keystore.Material // the transport key, on the sending and on the receiving token; nil for secret keys
	public     []byte
	received   []*received
}

// received is material that has come to the receiving token and is not its key's yet.
type received struct {
	row  *keystore.Material
	made backend.Created
	of   string // KeyMaterialId
	kept bool   // its key has it
}

// carry makes what a transfer between two keys needs.
func (s *Service) carry(ctx context.Context, from, to *keystore.Key) (*carriage, error) {
	c := &carriage{s: s, from: from, to: to}
	c.src, _ = s.cfg.Resolver.Resolve(from.Region, "")
	c.dst, _ = s.cfg.Resolver.Resolve(to.Region, "")
	if c.src == nil || c.dst == nil {
		return nil, backend.Unreachable("", backend.CallCreate)
	}
	if format := carries(c.src, from.Spec); format == "" || format != carries(c.dst, to.Spec) {
		return nil, keystore.Faultf(keystore.KindUnsupportedOperation, "Keys of spec %s can't be moved between these tokens.", from.Spec)
	}
	// A token that is away is told before a row is planned: the ledger keeps every row, and this is tried again and again.
	for _, b := range []backend.Backend{c.src, c.dst} {
		if err := b.Health(ctx); err != nil {
			return nil, err
		}
	}
	if err := c.open(ctx); err != nil {
		c.end(ctx)
		return nil, err
	}
	return c, nil
}

// doubt notes objects that a token may make yet, where it did not answer the call that failed.
func (c *carriage) doubt(cause error, rows ...*keystore.Material) {
	if !errors.Is(cause, backend.ErrUnanswered) {
		return
	}
	for _, m := range rows {
		if m != nil {
			c.s.doubts.add(m.ID, c.s.now().Add(doubtful))
		}
	}
}

func (c *carriage) open(ctx context.Context) (err error) {
	if c.pair, err = c.s.plan(ctx, c.to, c.dst, keystore.MaterialAppliance, carryLabel); err != nil {
		return err
	}
	if info, ok := keystore.LookupSpec(c.from.Spec); ok && info.Asymmetric() {
		if c.sent, err = c.s.plan(ctx, c.from, c.src, keystore.MaterialAppliance, carryLabel); err != nil {
			return err
		}
		if c.kept, err = c.s.plan(ctx, c.to, c.dst, keystore.MaterialAppliance, carryLabel); err != nil {
			return err
		}
	}
	c.s.step(StepCarryPlanned)
	// What is wrapped to the pair is never stored nor sent: it lives in this process for the time of the transfer.
	pair := wrappingHandle(c.pair.ID, keystore.RSA2048)
	pair.Label = carryLabel
	if _, err := c.dst.(backend.Unwrapper).CreateWrappingKey(ctx, pair); err != nil {
		c.doubt(err, c.pair)
		return fmt.Errorf("make a key pair to wrap to: %w", err)
	}
	c.s.step(StepCarryPaired)
	c.public, err = c.dst.(backend.PublicKeyer).PublicKey(ctx, &pair)
	return err
}

// move moves one material.
func (c *carriage) move(ctx context.Context, m *keystore.KeyMaterial) error {
	row, err := c.s.plan(ctx, c.to, c.dst, keystore.MaterialOnToken, c.to.ARN())
	if err != nil {
		return err
	}
	r := &received{row: row, of: m.KeyMaterialID()}
	c.received = append(c.received, r)
	source := backend.Handle{ID: m.ID, Label: c.from.ARN(), Spec: c.from.Spec, Usage: c.from.Usage, Extractable: true}
	sent, kept, pair := carryHandle(c.sent), carryHandle(c.kept), carryHandle(c.pair)
	parcel, err := c.src.(backend.Carrier).SendKey(ctx, &source, &sent, c.public)
	if err != nil {
		c.doubt(err, c.sent)
		return fmt.Errorf("send material %s: %w", m.ID, err)
	}
	c.s.step(StepCarrySent)
	r.made, err = c.dst.(backend.Carrier).ReceiveKey(ctx, handleOf(row, c.to), &kept, &pair, parcel)
	if err != nil {
		c.doubt(err, row, c.kept)
		return fmt.Errorf("receive material %s: %w", m.ID, err)
	}
	c.s.step(StepCarryReceived)
	return nil
}

func carryHandle(m *keystore.Material) backend.Handle {
	if m == nil {
		return backend.Handle{}
	}
	return backend.Handle{ID: m.ID, Label: carryLabel}
}

// has gives what has come of a material, nil for nothing.
func (c *carriage) has(m *keystore.KeyMaterial) *received {
	for _, r := range c.received {
		if r.of == m.KeyMaterialID() {
			return r
		}
	}
	return nil
}

// end destroys what served the transfer, and what came for a key that was gone by then.
func (c *carriage) end(ctx context.Context) {
	for _, r := range c.received {
		if !r.kept {
			c.settle(ctx, r.row)
		}
	}
	c.settle(ctx, c.pair, c.sent, c.kept)
}

// abandon destroys all that has come, too: the transaction that was to give it to the key failed. A row that became live all
// the same stays.
func (c *carriage) abandon(ctx context.Context) {
	for _, r := range c.received {
		r.kept = false
	}
	c.end(ctx)
}

func (c *carriage) settle(ctx context.Context, rows ...*keystore.Material) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	for _, m := range rows {
		if m == nil {
			continue
		}
		if _, _, err := c.s.settlePlanned(ctx, m); err != nil {
			c.s.leftOpen(m.KeyARN)
			c.s.cfg.Logger.ErrorContext(ctx, "what served a transfer of key material is not settled yet", "key", m.KeyARN,
				"cka_id", m.ID.String(), "error", err)
		}
	}
}
