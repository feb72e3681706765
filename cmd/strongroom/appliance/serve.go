package appliance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/strongroom/strongroom/api"
	"github.com/strongroom/strongroom/cmd/strongroom/admin"
	"github.com/strongroom/strongroom/xks/proxy"
)

const defaultDrain = 20 * time.Second

// Serve binds every listener, starts every long-lived goroutine, calls ready once every listener answers and the custom key
// stores that were connected are again (or, within a bound, are not to be found), and runs until ctx ends or something fails.
// Then it takes no new calls, waits a bounded time for those in flight and returns when all goroutines have ended. Close
// follows.
func (a *Appliance) Serve(ctx context.Context, ready func() error) error {
	if err := a.bind(ctx); err != nil {
		return err
	}
	if err := a.manager.Start(ctx); err != nil {
		return errors.Join(err, a.drain())
	}
	group, running := errgroup.WithContext(ctx)
	for _, l := range a.listeners {
		group.Go(l.serve)
	}
	group.Go(func() error { return a.sweeper.Run(running) })
	group.Go(func() error { return a.usage.Run(running) })
	group.Go(func() error { return a.reconciler.Run(running) })
	group.Go(func() error { return a.rotator.Run(running) })
	group.Go(func() error { return a.expirer.Run(running) })
	group.Go(func() error { return a.transitions.Run(running) })
	group.Go(func() error { return a.external.Run(running) })
	if a.proxy != nil {
		group.Go(func() error { return ended(running, a.proxy.Run(running)) })
		group.Go(func() error { return a.runUses(running) })
	}
	group.Go(func() error {
		<-running.Done()
		return a.drain()
	})
	group.Go(func() error {
		for _, l := range a.listeners {
			if err := l.probe(running); err != nil {
				return ended(running, err)
			}
		}
		a.awaitStores(running)
		return ready()
	})
	return group.Wait()
}

// storesWait bounds how long the appliance is not ready because custom key stores are still looked for.
const storesWait = 15 * time.Second

// awaitStores waits, bounded, until every store that was connected is connected again or known not to be there: until then
// calls with its keys fail, with an exception that no SDK tries again after.
func (a *Appliance) awaitStores(ctx context.Context) {
	wait, cancel := context.WithTimeout(ctx, storesWait)
	defer cancel()
	if err := a.manager.Wait(wait); err != nil && ctx.Err() == nil {
		a.log.LogAttrs(ctx, slog.LevelWarn, "custom key stores are still being connected; until that is over, calls with their keys fail")
	}
}

// ended makes nothing of an error that is only the end of the appliance.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// bind binds all addresses before any of them is served, so that a wrong one changes nothing.
func (a *Appliance) bind(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			for _, l := range a.listeners {
				err = errors.Join(err, l.net.Close())
			}
			a.listeners = nil
		}
	}()
	for _, step := range []func(context.Context) error{a.bindKMS, a.bindXKS, a.bindAdmin, a.bindSocket} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// name is what people know a field of the configuration by.
func (a *Appliance) name(field string) string { return cmp.Or(a.opts.Names[field], field) }

func (a *Appliance) bindKMS(ctx context.Context) error {
	server := api.NewHTTPServer(a.server, a.log)
	if a.cfg.KMS.TLS != nil {
		t, err := serverTLS("kms", a.cfg.KMS.TLS, a.log)
		if err != nil {
			return err
		}
		server.TLSConfig = t
	}
	n, err := bind(ctx, a.name("kms.listen"), a.cfg.KMS.Listen)
	if err != nil {
		return err
	}
	a.listeners = append(a.listeners, &listener{"kms", limit(n, a.cfg.Limits.Connections), server, a.cfg.KMS.TLS != nil})
	return nil
}

func (a *Appliance) bindXKS(ctx context.Context) error {
	if a.proxy == nil {
		return nil
	}
	certs, clients, err := certificates("xks", a.cfg.XKS.TLS)
	if err != nil {
		return err
	}
	renewed := newRenewing("xks", a.cfg.XKS.TLS, certs[0], a.log, time.Now)
	o := proxy.TLSOptions{GetCertificate: renewed.Get, ClientCAs: clients, ClientNames: a.cfg.XKS.TLS.ClientNames}
	server, err := proxy.NewServer(a.proxy, o, a.log)
	if err != nil {
		return err
	}
	if a.opts.Faults != nil {
		server.Handler = a.opts.Faults.Wrap(server.Handler)
	}
	n, err := bind(ctx, a.name("xks.listen"), a.cfg.XKS.Listen)
	if err != nil {
		return err
	}
	a.listeners = append(a.listeners, &listener{"xks", limit(n, a.cfg.Limits.Connections), server, true})
	return nil
}

func (a *Appliance) bindAdmin(ctx context.Context) error {
	if a.cfg.Admin.Listen == "" {
		return nil
	}
	n, err := bind(ctx, a.name("admin.listen"), a.cfg.Admin.Listen)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: a.adminHandler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
	}
	a.listeners = append(a.listeners, &listener{"admin", limit(n, 64), server, false})
	return nil
}

func (a *Appliance) bindSocket(context.Context) error {
	n, err := admin.Listen(a.cfg.AdminSocket())
	if err != nil {
		return err
	}
	s := admin.NewServer(a.log)
	a.routes(s)
	a.listeners = append(a.listeners, &listener{"socket", n, s.HTTP(), false})
	return nil
}

// Addr gives the bound address of a listener by name, "" where there is none.
func (a *Appliance) Addr(name string) string {
	for _, l := range a.listeners {
		if l.name == name {
			return l.net.Addr().String()
		}
	}
	return ""
}

// drain takes no new calls and waits a bounded time for those in flight; what is left then is cut off.
func (a *Appliance) drain() error {
	wait := time.Duration(a.cfg.Limits.DrainSeconds) * time.Second
	if wait == 0 {
		wait = defaultDrain
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	if a.proxy != nil {
		a.proxy.Drain()
	}
	var group errgroup.Group
	for _, l := range a.listeners {
		group.Go(func() error {
			if err := l.server.Shutdown(ctx); err != nil {
				return errors.Join(fmt.Errorf("listener %s had calls in flight after %s, which were cut off: %w", l.name, wait, err), l.server.Close())
			}
			// A server that never served does not know its listener.
			_ = l.net.Close()
			return nil
		})
	}
	return group.Wait()
}
