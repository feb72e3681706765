package xksstore

import (
	"context"
	"sync"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/xks"
	"github.com/strongroom/strongroom/xks/client"
)

// Name says which store a figure is about.
type Name struct {
	Region string
	ID     keystore.StoreID
}

func nameOf(s *keystore.Store) Name { return Name{s.Region, s.ID} }

// Health is what a look at a connected store found.
type Health struct {
	// Failure is why the proxy gave no answer that can be used; nil where it did.
	Failure error
	// Active, Degraded and Unavailable count the proxy's key managers.
	Active, Degraded, Unavailable int
	// CertificateName and NotAfter are of the certificate that the proxy showed last; zero before the first connection.
	CertificateName string
	NotAfter        time.Time
	// CredentialSince is when the store got the credential that it signs with; zero where that is not known.
	CredentialSince time.Time
}

// Observer is told what metrics count. Its methods must not block, and are called by many goroutines at once.
type Observer interface {
	// ProxyCall reports a call to a store's proxy with all its attempts. err is nil where it succeeded.
	ProxyCall(store Name, op xks.Operation, kmsOperation string, took time.Duration, err *client.Error)
	// ProxyHealth reports a look at a connected store.
	ProxyHealth(store Name, h Health)
	// ProxyGone: the store is connected no longer.
	ProxyGone(store Name)
}

type nobody struct{}

func (nobody) ProxyCall(Name, xks.Operation, string, time.Duration, *client.Error) {}
func (nobody) ProxyHealth(Name, Health)                                            {}
func (nobody) ProxyGone(Name)                                                      {}

// calls tells the observer which store a client's calls are about.
type calls struct {
	p    *Proxies
	name Name
}

// ProxyCall implements client.Observer.
func (c *calls) ProxyCall(op xks.Operation, kmsOperation string, took time.Duration, err *client.Error) {
	c.p.cfg.Observer.ProxyCall(c.name, op, kmsOperation, took, err)
}

// Run asks every connected store for its health, at once when one is opened and then periodically, until ctx ends; it
// answers nil then. What it finds is for metrics and the log: no state depends on it.
func (p *Proxies) Run(ctx context.Context) error {
	tick := time.NewTicker(p.cfg.HealthEvery)
	defer tick.Stop()
	for {
		p.Look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-p.wake:
		}
	}
}

// Look asks every connected store for its health once. Stores are asked at the same time, for each may take as long as a
// call may.
func (p *Proxies) Look(ctx context.Context) {
	p.mu.Lock()
	open := make([]*Backend, 0, len(p.open))
	for b := range p.open {
		open = append(open, b)
	}
	p.mu.Unlock()
	var wg sync.WaitGroup
	for _, b := range open {
		wg.Go(func() {
			if !b.flight.enter() {
				return
			}
			defer b.flight.leave()
			answer, err := p.askHealth(ctx, b.client, xks.KMSHealthCheck, "")
			if ctx.Err() == nil {
				p.report(b, answer, err)
			}
		})
	}
	wg.Wait()
}

// report tells observer and log what a look at a store found.
func (p *Proxies) report(b *Backend, answer *xks.HealthResponse, err error) {
	h := Health{Failure: err, CredentialSince: b.since}
	if answer != nil {
		for _, i := range answer.Instances {
			switch i.Status {
			case xks.Active:
				h.Active++
			case xks.Degraded:
				h.Degraded++
			default:
				h.Unavailable++
			}
		}
	}
	if c, known := b.client.Certificate(); known {
		h.CertificateName, h.NotAfter = c.CommonName, c.NotAfter
	}
	if err != nil {
		p.cfg.Logger.Warn("external key store is not healthy", "region", b.name.Region, "store", b.name.ID, "error", err)
	}
	p.cfg.Observer.ProxyHealth(b.name, h)
}
