package access

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// Config holds the gate's ports.
type Config struct {
	Directory keystore.Directory // asked for grants, where policies do not allow
	Aliases   AliasLister        // for kms:ResourceAliases, and asked only where a policy uses it; nil: from a Directory that is a DB
	Logger    *slog.Logger       // told of policies that cannot be read; nil tells nobody
}

// AliasLister gives the names ("alias/…") that point at a key. Where it fails there is no decision.
type AliasLister func(ctx context.Context, region string, id keystore.KeyID) ([]string, error)

// Gate decides: policies and grants first, then the key state table. It is safe for concurrent use.
type Gate struct {
	cfg         Config
	cache       *cache
	indexes     grantIndexes
	evaluations sync.Pool // of *evaluation, so that a decision allocates nothing
}

// New makes a gate.
func New(cfg Config) *Gate {
	if db, isDB := cfg.Directory.(keystore.DB); isDB && cfg.Aliases == nil {
		cfg.Aliases = aliasesIn(db)
	}
	g := &Gate{cfg: cfg, cache: newCache()}
	g.evaluations.New = func() any { return new(evaluation) }
	return g
}

// aliasPage is how many aliases are read at once.
const aliasPage = 100

// aliasesIn lists from the state: the one question of a decision that memory does not answer, for the few policies that ask it.
func aliasesIn(db keystore.DB) AliasLister {
	return func(ctx context.Context, region string, id keystore.KeyID) ([]string, error) {
		var names []string
		err := db.View(ctx, func(tx keystore.Tx) error {
			for after := ""; ; after = names[len(names)-1] {
				page, err := tx.Aliases(region, id, after, aliasPage)
				if err != nil {
					return err
				}
				for _, a := range page {
					names = append(names, a.Name)
				}
				if len(page) < aliasPage {
					return nil
				}
			}
		})
		return names, err
	}
}

// Request is what a caller wants to do.
type Request struct {
	Caller     *keystore.Caller
	Action     keystore.Action
	Permission string        // "" is kms:<Action>; ReEncrypt asks for kms:ReEncryptFrom and kms:ReEncryptTo
	Key        *keystore.Key // nil for an operation without a key
	Resource   string        // without a key: the ARN of the resource, such as an alias; "" is "*"
	Conn       keystore.ConnState

	EncryptionContext map[string]string
	GrantTokens       []string
	Conditions        map[string][]string // further condition keys, as "kms:RequestAlias"; read only
	// AcceptGrant refuses grants that would allow the request; nil accepts all. CreateGrant refuses parents with GrantCovers.
	AcceptGrant  func(g *keystore.Grant) bool
	Now          time.Time // zero: Caller.Time
	NoStateCheck bool      // authorise only
}

// resource is the ARN that the request is about, for Resource elements and messages.
func (r *Request) resource() string {
	switch {
	case r.Key != nil:
		return r.Key.ARN()
	case r.Resource != "":
		return r.Resource
	default:
		return "*"
	}
}

// Admit authorises a request, and then asks the key state table, unless there is no key or NoStateCheck is set: nil, or the
// *keystore.Fault for the caller (AccessDenied, InvalidGrantToken, or what keystore.Admit answers), or the Directory's error.
func (g *Gate) Admit(ctx context.Context, r *Request) error {
	d, err := g.Authorize(ctx, r)
	if err != nil {
		return err
	}
	if !d.Allowed {
		return d.Fault(r)
	}
	if r.Key == nil || r.NoStateCheck {
		return nil
	}
	return keystore.Admit(r.Action, r.Key, r.Conn)
}

// Authorize decides by policies and grants alone: an explicit deny wins over everything; then the key policy may allow the
// caller by name, or hand over to the account, whose root may do all and whose principals may do what their own policies
// allow; or a grant allows. Without a key the root may do all and others what their policies allow. An error means that
// there is no decision (the Directory failed), or that a grant token is none.
func (g *Gate) Authorize(ctx context.Context, r *Request) (Decision, error) {
	if r.Caller == nil || r.Caller.Principal == "" {
		return Decision{}, keystore.Faultf(keystore.KindInternal, "a request without a caller")
	}
	for _, token := range r.GrantTokens {
		if _, _, err := keystore.ParseGrantToken(token); err != nil {
			return Decision{}, err
		}
	}
	e := g.evaluations.Get().(*evaluation)
	defer func() {
		*e = evaluation{} // keeps nothing of the request
		g.evaluations.Put(e)
	}()
	e.begin(ctx, r, g.cfg.Aliases)
	d := g.byPolicies(e)
	if e.err != nil {
		return Decision{}, e.err
	}
	if d.Cause != nil && g.cfg.Logger != nil {
		g.cfg.Logger.ErrorContext(ctx, "policy cannot be read, access denied", "principal", r.Caller.Principal,
			"resource", r.resource(), "error", d.Cause)
	}
	if d.Allowed || r.Key == nil || d.Reason != NotInKeyPolicy && d.Reason != NotInIdentityPolicy {
		return d, nil
	}
	for _, grantee := range grantees(r.Caller) {
		if grantee == "" {
			continue
		}
		list, err := g.cfg.Directory.LookupGrants(ctx, r.Key.Region, r.Key.ID, grantee)
		if err != nil {
			return d, fmt.Errorf("look up grants of %s: %w", r.Key.ARN(), err)
		}
		if grant := e.findGrant(list, &g.indexes); grant != nil {
			return Decision{Allowed: true, Reason: AllowedByGrant, Grant: grant}, nil
		}
	}
	return d, nil
}

// byPolicies decides without grants.
func (g *Gate) byPolicies(e *evaluation) Decision {
	var found keyFindings
	if e.req.Key != nil {
		p, err := g.cache.get(e.req.Key.Policy)
		if err != nil {
			return Decision{Reason: UnreadablePolicy, Cause: fmt.Errorf("key policy of %s: %w", e.req.Key.ARN(), err)}
		}
		if found = p.asKeyPolicy(e); found.deny != nil {
			return Decision{Reason: DeniedByKeyPolicy, Key: found.deny}
		}
	}
	own, policy, err := g.byOwnPolicies(e)
	if err != nil {
		return Decision{Reason: UnreadablePolicy, Cause: err}
	}
	if own != nil && own.Effect == Deny {
		return Decision{Reason: DeniedByIdentityPolicy, Identity: own, Policy: policy}
	}
	return combine(e.req, found, own, policy)
}

// byOwnPolicies gives the statement of the caller's own policies that denies, or else one that allows, and which policy it
// is in; nil where none applies. The root has no policies of its own.
func (g *Gate) byOwnPolicies(e *evaluation) (*Statement, int, error) {
	var allow *Statement
	at := 0
	if e.req.Caller.Root {
		return nil, 0, nil
	}
	for i, text := range e.req.Caller.Policies {
		p, err := g.cache.get(text)
		if err != nil {
			return nil, 0, fmt.Errorf("policy %d of %s: %w", i+1, e.req.Caller.Principal, err)
		}
		s := p.asIdentityPolicy(e)
		if s != nil && s.Effect == Deny {
			return s, i, nil
		}
		if s != nil && allow == nil {
			allow, at = s, i
		}
	}
	return allow, at, nil
}

// combine brings together what nobody denied.
func combine(r *Request, key keyFindings, own *Statement, policy int) Decision {
	c := r.Caller
	switch {
	case r.Key == nil && c.Root:
		return Decision{Allowed: true, Reason: AllowedToRoot}
	case r.Key == nil && own != nil:
		return Decision{Allowed: true, Reason: AllowedByIdentityPolicy, Identity: own, Policy: policy}
	case r.Key == nil:
		return Decision{Reason: NotInIdentityPolicy}
	case key.allow == nil && key.account == nil:
		return Decision{Reason: NotInKeyPolicy}
	case c.Root:
		return Decision{Allowed: true, Reason: AllowedToRoot, Key: first(key.allow, key.account)}
	case key.allow != nil && c.Account == r.Key.Account:
		return Decision{Allowed: true, Reason: AllowedByKeyPolicy, Key: key.allow, Identity: own, Policy: policy}
	case own != nil: // handed over, or another account's key: both sides must allow
		return Decision{Allowed: true, Reason: AllowedByIdentityPolicy, Key: first(key.allow, key.account), Identity: own, Policy: policy}
	default:
		return Decision{Reason: NotInIdentityPolicy, Key: first(key.allow, key.account)}
	}
}

func first(a, b *Statement) *Statement {
	if a != nil {
		return a
	}
	return b
}
