// Package crypt is the service of cryptographic operations: it finds the key, has the gate decide, chooses by table how
// keys of that family do it, and lets the key's backend do the cryptography. It reads keys from memory (a Directory) and
// never touches the database.
package crypt

import (
	"context"
	"crypto/rand"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/audit"
	"github.com/strongroom/strongroom/keystore/backend"
)

// Observer is told what metrics count. Its methods must not block.
type Observer interface {
	// PendingDeletionUse: somebody who may use the key tried to, while its deletion is scheduled.
	PendingDeletionUse(k *keystore.Key, a keystore.Action)
}

// Config holds the service's ports. Audit and Observer may be nil.
type Config struct {
	DB       keystore.Directory
	Resolver backend.Resolver
	Gate     *access.Gate
	Clock    keystore.Clock
	// Audit takes an event of its own for every attempt to use a key that is pending deletion; requests themselves are
	// recorded by whoever answers them.
	Audit    audit.Log
	Observer Observer
	// Random makes data key pairs and the padding of RSA encryption. nil: crypto/rand. Go's library draws some of it from the
	// operating system whatever is given here.
	Random io.Reader
	// PublicKeys is how many public keys are kept in memory. 0: DefaultPublicKeys.
	PublicKeys int
}

// Service does the cryptographic operations. It is safe for concurrent use and keeps no key material.
type Service struct {
	cfg        Config
	conditions map[asked]map[string][]string // condition keys of a request without an alias; read only
	scratch    sync.Pool                     // of *scratch
	public     publicKeys
	making     chan struct{} // one for each data key pair that is being made
}

// asked is what a request asks for, as far as condition keys show it.
type asked struct {
	condition string // the key for the algorithm
	algorithm string
	message   string // MessageType; "" where the operation has none
}

// algorithmConditions has the condition key that shows the algorithm of an operation (developer guide, "Condition keys for
// AWS KMS").
var algorithmConditions = map[keystore.Usage]string{
	keystore.UsageEncryptDecrypt: "kms:EncryptionAlgorithm",
	keystore.UsageSignVerify:     "kms:SigningAlgorithm",
	keystore.UsageMAC:            "kms:MacAlgorithm",
	keystore.UsageKeyAgreement:   "kms:KeyAgreementAlgorithm",
}

const conditionPairSpec = "kms:DataKeyPairSpec"

// New makes the service.
func New(cfg Config) *Service {
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	s := &Service{cfg: cfg, conditions: map[asked]map[string][]string{}, making: make(chan struct{}, runtime.GOMAXPROCS(0))}
	s.public.init(cfg.PublicKeys)
	for _, spec := range keystore.Specs() {
		info, _ := keystore.LookupSpec(spec)
		for usage, key := range algorithmConditions {
			for _, a := range info.Algorithms(usage) {
				s.prepare(usage, key, a)
			}
		}
		s.conditions[asked{condition: conditionPairSpec, algorithm: string(spec)}] = map[string][]string{
			conditionPairSpec: {string(spec)}, "kms:EncryptionAlgorithm": {symmetricAlgorithm}}
	}
	s.scratch.New = func() any { return &scratch{aad: make([]byte, 0, 512)} }
	return s
}

// prepare makes the condition keys of requests with an algorithm once, for all requests.
func (s *Service) prepare(usage keystore.Usage, key, algorithm string) {
	s.conditions[asked{condition: key, algorithm: algorithm}] = map[string][]string{key: {algorithm}}
	if usage != keystore.UsageSignVerify {
		return
	}
	for _, m := range []string{messageRaw, messageDigest, messageMu} {
		s.conditions[asked{key, algorithm, m}] = map[string][]string{key: {algorithm}, "kms:MessageType": {m}}
	}
}

// scratch is what a call passes on by reference and nobody keeps.
type scratch struct {
	request access.Request
	handle  backend.Handle
	aad     []byte
}

func (s *Service) borrow() *scratch { return s.scratch.Get().(*scratch) }

// giveBack ends the use of a scratch. It forgets what the call put there.
func (s *Service) giveBack(t *scratch) {
	t.request, t.handle = access.Request{}, backend.Handle{}
	if cap(t.aad) <= 16<<10 {
		s.scratch.Put(t)
	}
}

// use is a key that a request names, with where it lives.
type use struct {
	key     *keystore.Key
	arn     string
	info    *keystore.SpecInfo
	backend backend.Backend // nil while the store is not connected
	conn    keystore.ConnState
}

// find resolves an identifier that a caller gave.
func (s *Service) find(ctx context.Context, c *keystore.Caller, given string) (use, error) {
	k, err := keystore.ResolveKey(ctx, s.cfg.DB, c, given, keystore.RefKeyOrAlias)
	if err != nil {
		return use{}, err
	}
	return s.useOf(k)
}

func (s *Service) useOf(k *keystore.Key) (use, error) {
	info, ok := keystore.LookupSpec(k.Spec)
	if !ok {
		return use{}, keystore.Faultf(keystore.KindInternal, "key spec %s", k.Spec)
	}
	b, conn := s.cfg.Resolver.Resolve(k.Region, k.StoreID)
	return use{key: k, arn: k.ARN(), info: info, backend: b, conn: conn}, nil
}

// demand is what a request asks of the gate.
type demand struct {
	action     keystore.Action
	permission string // "" is kms:<action>
	given      string // the key identifier as given
	algorithm  string // "" where the request names none
	message    string // MessageType of Sign and Verify
	pairSpec   string // of GenerateDataKeyPair
	context    map[string]string
	tokens     []string
	sameKey    string // kms:ReEncryptOnSameKey; "" elsewhere
	stateless  bool   // authorise only
}

// admit has the gate decide, and marks attempts to use a key whose deletion is scheduled.
func (s *Service) admit(ctx context.Context, c *keystore.Caller, t *scratch, u *use, d *demand) error {
	t.request = access.Request{
		Caller: c, Action: d.action, Permission: d.permission, Key: u.key, Conn: u.conn,
		EncryptionContext: d.context, GrantTokens: d.tokens,
		Conditions: s.conditionsOf(d), Now: s.cfg.Clock.Now(), NoStateCheck: d.stateless,
	}
	err := s.cfg.Gate.Admit(ctx, &t.request)
	if err != nil && u.key.PendingDeletion() && keystore.KindOf(err) == keystore.KindInvalidState {
		return s.markPending(ctx, c, u.key, d.action, err)
	}
	return err
}

// conditionsOf gives the condition keys that a request brings itself. Most requests share a map.
func (s *Service) conditionsOf(d *demand) map[string][]string {
	what := asked{algorithmConditions[keystore.RequiredUsage(d.action)], d.algorithm, d.message}
	if d.pairSpec != "" {
		what = asked{condition: conditionPairSpec, algorithm: d.pairSpec}
	}
	shared := s.conditions[what]
	alias := aliasOf(d.given)
	if alias == "" && d.sameKey == "" {
		return shared
	}
	own := make(map[string][]string, len(shared)+2)
	for k, v := range shared {
		own[k] = v
	}
	if alias != "" {
		own["kms:RequestAlias"] = []string{alias}
	}
	if d.sameKey != "" {
		own["kms:ReEncryptOnSameKey"] = []string{d.sameKey}
	}
	return own
}

// markPending tells the observer and the audit log of an attempt to use a key whose deletion is scheduled.
func (s *Service) markPending(ctx context.Context, c *keystore.Caller, k *keystore.Key, a keystore.Action, refusal error) error {
	if s.cfg.Observer != nil {
		s.cfg.Observer.PendingDeletionUse(k, a)
	}
	if s.cfg.Audit == nil {
		return refusal
	}
	if err := s.cfg.Audit.Append(ctx, audit.PendingDeletionUse(c, k, a, s.cfg.Clock.Now()), false); err != nil {
		return (&keystore.Fault{Kind: keystore.KindInternal}).Because(err)
	}
	return refusal
}

// algorithm checks the algorithm of a request against the key, after the gate admitted the usage.
func (u *use) algorithm(a string) error {
	if slices.Contains(u.info.Algorithms(u.key.Usage), a) {
		return nil
	}
	return keystore.IncompatibleAlgorithm(a, u.key.Spec)
}

// reach gives the backend, or the fault of a key whose token was never reached.
func (u *use) reach() (backend.Backend, error) {
	if u.backend == nil {
		return nil, backend.Unreachable(storeType(u.key), backend.CallUse)
	}
	return u.backend, nil
}

// storeType is the type of the store that a key lives in; "" is the default store.
func storeType(k *keystore.Key) keystore.StoreType {
	switch k.Origin {
	case keystore.OriginCloudHSM:
		return keystore.StoreCloudHSM
	case keystore.OriginXKS:
		return keystore.StoreXKS
	default:
		return ""
	}
}

// dryRun is what a request that would have succeeded answers under DryRun.
func dryRun() error {
	return keystore.Faultf(keystore.KindDryRunOperation, "The request would have succeeded, but the DryRun option is set.")
}

// defaultAlgorithm is the algorithm of a request that names none.
func defaultAlgorithm(a string) string {
	if a == "" {
		return symmetricAlgorithm
	}
	return a
}

const symmetricAlgorithm = "SYMMETRIC_DEFAULT"

// aliasOf gives the alias name in an identifier that names an alias, "" elsewhere.
func aliasOf(given string) string {
	if strings.HasPrefix(given, "alias/") {
		return given
	}
	if i := strings.Index(given, ":alias/"); i >= 0 && strings.HasPrefix(given, "arn:") {
		return given[i+1:]
	}
	return ""
}
