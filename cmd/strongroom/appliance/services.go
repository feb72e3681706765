package appliance

import (
	"context"
	"fmt"
	"maps"
	"os"
	"time"

	"github.com/strongroom/strongroom/api"
	"github.com/strongroom/strongroom/cmd/strongroom/config"
	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmstore"
	"github.com/strongroom/strongroom/hsm/pkcs11"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/crypt"
	"github.com/strongroom/strongroom/keystore/custom"
	"github.com/strongroom/strongroom/keystore/grants"
	"github.com/strongroom/strongroom/keystore/lifecycle"
	"github.com/strongroom/strongroom/keystore/usage"
)

// openStores makes the manager of custom key stores over the clusters of the configuration.
func (a *Appliance) openStores(context.Context) error {
	tokens := map[string]hsm.Config{}
	for _, cl := range a.cfg.Clusters {
		c, err := a.tokenConfig(a.cfg.Token(cl.Token))
		if err != nil {
			return err
		}
		tokens[cl.ID] = c
	}
	defaults := map[string]backend.Backend{}
	for region, b := range a.defaults {
		defaults[region] = b
	}
	clusters, err := a.clusters()
	if err != nil {
		return err
	}
	if err := a.openExternal(defaults); err != nil {
		return err
	}
	m, err := custom.NewManager(custom.ManagerConfig{
		Clusters: clusters, Random: random(), DB: a.db, Secrets: a.vault, Defaults: defaults, Logger: a.log,
		// The reconciler is made later than the manager, which connects nothing before Serve.
		OnConnected: func(string, keystore.StoreID) { a.reconciler.Wake() },
		Opener: custom.Openers{
			keystore.StoreCloudHSM: &hsmstore.Opener{ClusterTokens: tokens, OpenToken: pkcs11.Open},
			keystore.StoreXKS:      a.external,
		},
		Timeout: time.Duration(a.cfg.Limits.ConnectSeconds) * time.Second,
	})
	if err != nil {
		return err
	}
	a.manager = m
	a.onClose(m)
	return nil
}

// clusters reads what CreateCustomKeyStore checks against.
func (a *Appliance) clusters() (map[string]keystore.Cluster, error) {
	out := map[string]keystore.Cluster{}
	for _, cl := range a.cfg.Clusters {
		c := keystore.Cluster{ID: cl.ID, RotatesPIN: cl.RotatePassword, RelatedGroup: cl.Related}
		if cl.TrustAnchor != "" {
			pem, err := os.ReadFile(cl.TrustAnchor)
			if err != nil {
				return nil, fmt.Errorf("trust anchor of %s: %w", cl.ID, err)
			}
			c.TrustAnchor = string(pem)
		}
		out[cl.ID] = c
	}
	return out, nil
}

func (a *Appliance) openServices(ctx context.Context) error {
	gate := access.New(access.Config{Directory: a.db, Logger: a.log})
	a.gate = gate
	clusters, err := a.clusters()
	if err != nil {
		return err
	}
	stores, err := custom.New(custom.Config{
		DB: a.db, Gate: gate, Clock: a.clock, Random: random(), Clusters: clusters, Secrets: a.vault, Manager: a.manager,
		Proxies: a.external,
		Limits:  custom.Limits{StoresPerRegion: a.cfg.Limits.StoresPerRegion},
	})
	if err != nil {
		return err
	}
	a.lifecycle = lifecycle.New(lifecycle.Config{
		DB: a.db, Resolver: a.manager, Gate: gate, Clock: a.clock, Random: random(), Audit: a.audit, Vault: a.vault,
		Account: a.cfg.Account, Regions: a.cfg.Regions, Logger: a.log, Hook: a.opts.Hook,
		Limits: lifecycle.Limits{Keys: a.cfg.Limits.KeysPerRegion, Aliases: a.cfg.Limits.AliasesPerKey},
	})
	a.sweeper = lifecycle.NewSweeper(a.lifecycle)
	a.reconciler = lifecycle.NewReconciler(a.lifecycle)
	a.orphans = lifecycle.NewOrphans(a.lifecycle)
	a.rotator = lifecycle.NewRotator(a.lifecycle)
	a.expirer = lifecycle.NewExpirer(a.lifecycle)
	a.transitions = lifecycle.NewTransitions(a.lifecycle)
	if a.usage, err = usage.Open(ctx, usage.Config{DB: a.db, Gate: gate, Clock: a.clock, Logger: a.log}); err != nil {
		return err
	}
	a.onClose(a.usage)
	a.server = api.New(api.Config{
		Account: a.cfg.Account, Regions: a.cfg.Regions, Credentials: a.principals, Directory: a.db,
		Crypt: crypt.New(crypt.Config{DB: a.db, Resolver: a.manager, Gate: gate, Clock: a.clock, Audit: a.audit}),
		Keys:  a.lifecycle, Stores: stores, Grants: a.grantService(gate), Rates: a.requestRates(), Audit: a.audit, Clock: a.clock, Logger: a.log, Observer: a.metrics, Random: random(),
		Usage:            a.usage,
		XksEndpointPorts: a.cfg.Compatibility.XksEndpointPorts,
	})
	a.principals.OnChange(a.server.CredentialsChanged)
	a.metrics.Watch(a.snapshot)
	return nil
}

// requestRates gives the request quotas of every Region.
func (a *Appliance) requestRates() map[string]map[string]float64 {
	all := map[string]map[string]float64{}
	for _, region := range a.cfg.Regions {
		rates := map[string]float64{}
		if a.cfg.Limits.RequestRates == config.RatesOfAWS {
			rates = api.DefaultRates(region)
		}
		maps.Copy(rates, a.cfg.Limits.RequestRate)
		all[region] = rates
	}
	return all
}

// grantService makes the service of grants. A grant can be given only to users and roles that are there.
func (a *Appliance) grantService(gate *access.Gate) *grants.Service {
	return grants.New(grants.Config{
		DB: a.db, Resolver: a.manager, Gate: gate, Clock: a.clock, Random: random(), PrincipalExists: grants.Known,
		PerKey: a.cfg.Limits.GrantsPerKey,
	})
}
