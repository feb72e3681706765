package lifecycle_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm/hsmstore"
	"github.com/strongroom/strongroom/hsm/hsmtest"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/audit"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/lifecycle"
)

const away = "eu-west-1"

// regions resolves each Region to a token of its own.
type regions map[string]backend.Backend

func (r regions) Resolve(region string, id keystore.StoreID) (backend.Backend, keystore.ConnState) {
	if id != "" {
		return nil, keystore.Disconnected
	}
	return r[region], keystore.Connected
}

// planet is a world with two Regions on real tokens.
type planet struct {
	*world
	regions regions
	there   *keystore.Caller // root in the other Region
	fuse    *fuse
	moves   *lifecycle.Transitions
	expirer *lifecycle.Expirer
}

func newPlanet(t *testing.T) *planet {
	t.Helper()
	tokens := hsmtest.SoftHSM(t, "here", "away")
	p := &planet{fuse: &fuse{}, regions: regions{}}
	here := hsmstore.NewDefault(tokens.Open("here")).AllSpecs()
	p.regions[region], p.regions[away] = here, hsmstore.NewDefault(tokens.Open("away")).AllSpecs()
	p.world = newWorld(t, func(c *lifecycle.Config) {
		c.Hook, c.Resolver, c.Regions = p.fuse.hook, p.regions, []string{region, away}
		vault, err := hsmstore.EnsureVault(t.Context(), hsmstore.VaultConfig{DB: c.DB, Backend: here, Region: region, Clock: c.Clock})
		require.NoError(t, err)
		c.Vault = vault
	})
	there := *p.root
	there.Region = away
	p.there = &there
	p.begin()
	return p
}

// begin is what a start makes anew.
func (p *planet) begin() {
	p.restart()
	p.moves, p.expirer = lifecycle.NewTransitions(p.Service), lifecycle.NewExpirer(p.Service)
}

// settle runs what a start runs.
func (p *planet) settle() {
	p.t.Helper()
	p.begin()
	p.reconcile()
	_, err := p.moves.TransitOnce(p.t.Context())
	require.NoError(p.t, err)
	p.reconcile()
}

// clean holds the tokens against the ledger: every object has its row, every live row its object, and nothing that served is
// left.
func (p *planet) clean() {
	p.t.Helper()
	report, err := lifecycle.NewOrphans(p.Service).Scan(p.t.Context(), lifecycle.ScanFilter{})
	require.NoError(p.t, err)
	assert.Empty(p.t, report.Unknown)
	assert.Empty(p.t, report.Missing)
	assert.Empty(p.t, report.Orphaned)
	assert.Empty(p.t, report.Gone)
	live := map[string]keystore.MaterialState{}
	for _, m := range p.rows("") {
		assert.Contains(p.t, []keystore.MaterialState{keystore.MaterialLive, keystore.MaterialDestroyed}, m.State, "%s of %s: %s", m.Label, m.KeyARN, m.Reason)
		live[m.ID.String()] = m.State
	}
	for _, b := range p.regions {
		require.NoError(p.t, b.(backend.Scanner).Objects(p.t.Context(), func(o backend.Object) error {
			var id keystore.MaterialID
			if copy(id[:], o.ID); o.Label != "strongroom:canary" {
				assert.Equal(p.t, keystore.MaterialLive, live[id.String()], "%s on %s", o.Label, b.Identity().Label)
			}
			return nil
		}))
	}
}

func (p *planet) key(c *keystore.Caller, id keystore.KeyID) *keystore.Key {
	p.t.Helper()
	v, err := p.DescribeKey(p.t.Context(), c, string(id), nil)
	require.NoError(p.t, err)
	return v.Key
}

func (p *planet) transit() {
	p.t.Helper()
	_, err := p.moves.TransitOnce(p.t.Context())
	require.NoError(p.t, err)
}

// wrap makes an import request for material under fresh parameters.
func (p *planet) wrap(c *keystore.Caller, id keystore.KeyID, material []byte) *lifecycle.ImportInput {
	p.t.Helper()
	out, err := p.GetParametersForImport(p.t.Context(), c, string(id), "RSAES_OAEP_SHA_1", "RSA_2048")
	require.NoError(p.t, err)
	return wrapTo(p.t, id, out, material)
}

func wrapTo(t testing.TB, id keystore.KeyID, out *lifecycle.ImportParameters, material []byte) *lifecycle.ImportInput {
	t.Helper()
	pub, err := x509.ParsePKIXPublicKey(out.PublicKey)
	require.NoError(t, err)
	wrapped, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, pub.(*rsa.PublicKey), material, nil)
	require.NoError(t, err)
	return &lifecycle.ImportInput{KeyID: string(id), ImportToken: out.Token, EncryptedKeyMaterial: wrapped,
		ExpirationModel: "KEY_MATERIAL_DOES_NOT_EXPIRE"}
}

// seal and open use the current material, and any, of a key.
func (p *planet) seal(k *keystore.Key) []byte {
	p.t.Helper()
	h := backend.Handle{ID: k.Current().ID, Label: k.ARN(), Spec: k.Spec, Usage: k.Usage}
	out, err := p.regions[k.Region].(backend.Sealer).Seal(p.t.Context(), &h, nil, []byte("gold"), nil)
	require.NoError(p.t, err)
	return out
}

func (p *planet) opens(k *keystore.Key, sealed []byte) bool {
	for _, m := range k.Materials {
		h := backend.Handle{ID: m.ID, Label: k.ARN(), Spec: k.Spec, Usage: k.Usage}
		if _, err := p.regions[k.Region].(backend.Sealer).Open(context.Background(), &h, nil, sealed, nil); err == nil {
			return true
		}
	}
	return false
}

// The appliance is stopped between every two steps of an import, and started again: the request can be made again, and nothing
// is left on the token that no row names.
func TestCrashAtEveryStepOfAnImport(t *testing.T) {
	for _, step := range lifecycle.ImportSteps() {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			p := newPlanet(t)
			k := p.create(lifecycle.CreateKeyInput{Origin: "EXTERNAL"})
			material := make([]byte, 32)
			_, _ = rand.Read(material)
			var in *lifecycle.ImportInput
			hits := 0
			for _, do := range []func(){
				func() {
					out, err := p.GetParametersForImport(t.Context(), p.root, string(k.ID), "RSAES_OAEP_SHA_1", "RSA_2048")
					if assert.NoError(t, err) {
						in = wrapTo(t, k.ID, out, material)
					}
				},
				func() {
					if in == nil {
						in = p.wrap(p.root, k.ID, material)
					}
					_, err := p.ImportKeyMaterial(t.Context(), p.root, in)
					assert.NoError(t, err)
				},
				func() {
					_, err := p.DeleteImportedKeyMaterial(t.Context(), p.root, string(k.ID), "")
					assert.NoError(t, err)
				},
			} {
				p.fuse.arm(step, 0)
				stopped := p.fuse.run(do) != ""
				p.fuse.disarm()
				if stopped {
					hits++
					p.settle()
					for _, m := range p.rows(k.ARN()) {
						assert.Contains(t, []keystore.MaterialState{keystore.MaterialLive, keystore.MaterialDestroyed}, m.State)
					}
				}
			}
			require.NotZero(t, hits, "no operation comes by this step")
			_, err := p.ImportKeyMaterial(t.Context(), p.root, p.wrap(p.root, k.ID, material))
			require.NoError(t, err)
			now := p.key(p.root, k.ID)
			assert.Equal(t, keystore.Enabled, now.State)
			assert.True(t, p.opens(now, p.seal(now)))
			p.clock.advance(25 * time.Hour)
			_, err = p.expirer.ExpireOnce(t.Context(), p.clock.Now())
			require.NoError(t, err)
			p.clean()
			require.Len(t, now.Materials, 1)
		})
	}
}

// The same between every two steps of a replication and of a change of primary, which go on by themselves at a start.
func TestCrashAtEveryStepOfAReplication(t *testing.T) {
	for _, spec := range []string{"", "ECC_NIST_P256"} {
		for _, step := range lifecycle.ReplicaSteps() {
			t.Run(spec+" "+step, func(t *testing.T) {
				t.Parallel()
				p := newPlanet(t)
				in := lifecycle.CreateKeyInput{MultiRegion: true, KeySpec: spec}
				if spec != "" {
					in.KeyUsage = "SIGN_VERIFY"
				}
				k := p.create(in)
				hits := 0
				for _, do := range []func(){
					func() {
						_, err := p.ReplicateKey(t.Context(), p.root, &lifecycle.ReplicateInput{KeyID: string(k.ID), ReplicaRegion: away})
						assert.NoError(t, err)
					},
					func() { p.transit() },
					func() { assert.NoError(t, p.UpdatePrimaryRegion(t.Context(), p.root, string(k.ID), away)) },
					func() { p.transit() },
				} {
					p.fuse.arm(step, 0)
					stopped := p.fuse.run(do) != ""
					p.fuse.disarm()
					if stopped {
						hits++
						p.settle()
					}
				}
				require.NotZero(t, hits, "no operation comes by this step")
				p.transit()
				here, there := p.key(p.root, k.ID), p.key(p.there, k.ID)
				assert.Equal(t, keystore.Enabled, here.State)
				assert.Equal(t, keystore.Enabled, there.State)
				assert.False(t, here.MultiRegion.Primary)
				assert.Equal(t, &keystore.MultiRegion{Primary: true, PrimaryRegion: away, ReplicaRegions: []string{region}}, there.MultiRegion)
				assert.Equal(t, []string{region}, here.MultiRegion.ReplicaRegions)
				if spec == "" {
					assert.True(t, p.opens(there, p.seal(here)))
					assert.True(t, p.opens(here, p.seal(there)))
				}
				p.clean()
			})
		}
	}
}

// A rotation of a primary is stopped between every two steps of it and of the transfers to the replica: either both keys have
// the new material, or none, and a rotation that is asked for again goes through.
func TestCrashAtEveryStepOfAFamilysRotation(t *testing.T) {
	for _, step := range []string{lifecycle.StepRotatePlanned, lifecycle.StepRotateGenerated, lifecycle.StepCarryPlanned,
		lifecycle.StepCarryPaired, lifecycle.StepCarrySent, lifecycle.StepCarryReceived, lifecycle.StepRotateCommitted} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			p := newPlanet(t)
			k := p.create(lifecycle.CreateKeyInput{MultiRegion: true})
			_, err := p.ReplicateKey(t.Context(), p.root, &lifecycle.ReplicateInput{KeyID: string(k.ID), ReplicaRegion: away})
			require.NoError(t, err)
			p.transit()
			old := p.seal(p.key(p.root, k.ID))
			rotate := func() {
				_, err := p.RotateKeyOnDemand(t.Context(), p.root, string(k.ID))
				assert.NoError(t, err)
			}
			p.fuse.arm(step, 0)
			require.Equal(t, step, p.fuse.run(rotate))
			p.fuse.disarm()
			p.settle()
			here, there := p.key(p.root, k.ID), p.key(p.there, k.ID)
			assert.Equal(t, here.Current().KeyMaterialID(), there.Current().KeyMaterialID())
			assert.Len(t, there.Materials, len(here.Materials))
			rotate()
			here, there = p.key(p.root, k.ID), p.key(p.there, k.ID)
			assert.True(t, p.opens(there, p.seal(here)))
			assert.True(t, p.opens(there, old))
			assert.Equal(t, here.Rotation.OnDemand, there.Rotation.OnDemand)
			p.clean()
		})
	}
}

// A token that is away keeps a replica in Creating, and a family from rotating; nothing is lost and nothing left over.
func TestReplicaWhoseTokenIsAway(t *testing.T) {
	p := newPlanet(t)
	k := p.create(lifecycle.CreateKeyInput{MultiRegion: true})
	_, err := p.ReplicateKey(t.Context(), p.root, &lifecycle.ReplicateInput{KeyID: string(k.ID), ReplicaRegion: away})
	require.NoError(t, err)
	token := p.regions[away]
	delete(p.regions, away)
	report, err := p.moves.TransitOnce(t.Context())
	require.Error(t, err)
	assert.Equal(t, 1, report.Pending)
	assert.Equal(t, keystore.Creating, p.key(p.there, k.ID).State)
	_, err = p.ReplicateKey(t.Context(), p.root, &lifecycle.ReplicateInput{KeyID: string(p.create(lifecycle.CreateKeyInput{MultiRegion: true}).ID), ReplicaRegion: away})
	faulty(t, err, keystore.KindDependencyTimeout, "*")
	p.regions[away] = token
	p.transit()
	assert.Equal(t, keystore.Enabled, p.key(p.there, k.ID).State)

	delete(p.regions, away)
	_, err = p.RotateKeyOnDemand(t.Context(), p.root, string(k.ID))
	faulty(t, err, keystore.KindDependencyTimeout, "*")
	assert.Len(t, p.key(p.root, k.ID).Materials, 1)
	p.regions[away] = token
	p.settle()
	_, err = p.RotateKeyOnDemand(t.Context(), p.root, string(k.ID))
	require.NoError(t, err)
	here, there := p.key(p.root, k.ID), p.key(p.there, k.ID)
	assert.True(t, p.opens(there, p.seal(here)))
	p.clean()
}

// Two imports at once, and an expiry beside them: one after the other, whatever their order.
func TestConcurrentImports(t *testing.T) {
	p := newPlanet(t)
	k := p.create(lifecycle.CreateKeyInput{Origin: "EXTERNAL"})
	material := make([]byte, 32)
	_, _ = rand.Read(material)
	_, err := p.ImportKeyMaterial(t.Context(), p.root, p.wrap(p.root, k.ID, material))
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 4 {
		in := p.wrap(p.root, k.ID, material)
		in.ExpirationModel, in.ValidTo = "KEY_MATERIAL_EXPIRES", p.clock.Now().Add(time.Minute)
		wg.Go(func() {
			_, err := p.ImportKeyMaterial(t.Context(), p.root, in)
			assert.NoError(t, err)
		})
		wg.Go(func() {
			_, err := p.DeleteImportedKeyMaterial(t.Context(), p.root, string(k.ID), "")
			assert.NoError(t, err)
		})
		wg.Go(func() {
			_, err := p.expirer.ExpireOnce(t.Context(), p.clock.Now().Add(2*time.Minute))
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	_, err = p.ImportKeyMaterial(t.Context(), p.root, p.wrap(p.root, k.ID, material))
	require.NoError(t, err)
	now := p.key(p.root, k.ID)
	assert.Equal(t, keystore.Enabled, now.State)
	assert.Len(t, now.Materials, 1)
	assert.True(t, p.opens(now, p.seal(now)))
	p.clean()
}

// A replication needs permissions in both Regions, a change of primary on both keys; limits and bad input are refused before
// anything is made.
func TestWhoMayReplicate(t *testing.T) {
	p := newPlanet(t)
	k := p.create(lifecycle.CreateKeyInput{MultiRegion: true})
	arnAway := keystore.KeyARN(away, account, k.ID)
	statement := func(action, resource, condition string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"` + condition + `}]}`
	}
	replicate := func(c *keystore.Caller, in lifecycle.ReplicateInput) error {
		in.KeyID = string(k.ID)
		if in.ReplicaRegion == "" {
			in.ReplicaRegion = away
		}
		_, err := p.ReplicateKey(t.Context(), c, &in)
		return err
	}
	denied := func(err error, c *keystore.Caller, permission, resource string) {
		t.Helper()
		faulty(t, err, keystore.KindAccessDenied, "User: "+c.Principal+" is not authorized to perform: kms:"+permission+" on resource: "+resource+
			" because no identity-based policy allows the kms:"+permission+" action")
	}
	nobody := p.user("nobody")
	denied(replicate(nobody, lifecycle.ReplicateInput{}), nobody, "ReplicateKey", k.ARN())
	half := p.user("half", statement("kms:ReplicateKey", "*", ""))
	denied(replicate(half, lifecycle.ReplicateInput{}), half, "CreateKey", "*")
	elsewhere := p.user("elsewhere", statement("kms:ReplicateKey", "*", `,"Condition":{"StringEquals":{"kms:ReplicaRegion":"ap-south-1"}}`))
	denied(replicate(elsewhere, lifecycle.ReplicateInput{}), elsewhere, "ReplicateKey", k.ARN())
	tagless := p.user("tagless", statement("kms:ReplicateKey", "*", ""), statement("kms:CreateKey", "*", `,"Condition":{"StringEquals":{"kms:MultiRegionKeyType":"REPLICA"}}`))
	denied(replicate(tagless, lifecycle.ReplicateInput{Tags: []keystore.Tag{{Key: "a", Value: "b"}}}), tagless, "TagResource", arnAway)
	tags := func(resource string) string {
		return statement("kms:TagResource", resource, `,"Condition":{"StringEquals":{"aws:RequestTag/a":"b"}}`)
	}
	wrong := p.user("wrong", statement("kms:ReplicateKey", "*", ""), statement("kms:CreateKey", "*", ""), tags(k.ARN()))
	denied(replicate(wrong, lifecycle.ReplicateInput{Tags: []keystore.Tag{{Key: "a", Value: "b"}}}), wrong, "TagResource", arnAway)
	tagger := p.user("tagger", statement("kms:ReplicateKey", "*", ""), statement("kms:CreateKey", "*", ""), tags("arn:aws:kms:*:"+account+":key/*"))

	faulty(t, replicate(p.root, lifecycle.ReplicateInput{Policy: "{}"}), keystore.KindMalformedPolicyDocument, "*")
	faulty(t, replicate(p.root, lifecycle.ReplicateInput{Policy: statement("kms:Encrypt", "*", "")}), keystore.KindMalformedPolicyDocument, "*")
	faulty(t, replicate(p.root, lifecycle.ReplicateInput{Tags: []keystore.Tag{{Key: "aws:x"}}}), keystore.KindTag, "*")
	faulty(t, replicate(p.root, lifecycle.ReplicateInput{ReplicaRegion: "ap-south-1"}), keystore.KindUnsupportedOperation, "*")
	_, err := p.DescribeKey(t.Context(), p.there, string(k.ID), nil)
	faulty(t, err, keystore.KindNotFound, "*")
	assert.Empty(t, p.key(p.root, k.ID).MultiRegion.ReplicaRegions)

	require.NoError(t, replicate(tagger, lifecycle.ReplicateInput{Tags: []keystore.Tag{{Key: "a", Value: "b"}}}))
	p.transit()
	mover := p.user("mover", statement("kms:UpdatePrimaryRegion", k.ARN(), ""))
	denied(p.UpdatePrimaryRegion(t.Context(), mover, string(k.ID), away), mover, "UpdatePrimaryRegion", arnAway)
	assert.Equal(t, keystore.Enabled, p.key(p.root, k.ID).State)
	assert.Len(t, p.log.about("CreateKey", arnAway), 1)
	assert.Len(t, p.log.about("SynchronizeMultiRegionKey", arnAway), 1)
	require.NoError(t, p.UpdatePrimaryRegion(t.Context(), p.root, string(k.ID), away))
	p.transit()
	assert.True(t, p.key(p.there, k.ID).MultiRegion.Primary)
	p.clean()
}

// unanswered is a token that does not answer the call that takes a key over.
type unanswered struct {
	*hsmstore.Backend
	asked []backend.Handle
}

func (u *unanswered) ReceiveKey(_ context.Context, h backend.Handle, _, _ *backend.Handle, _ backend.Parcel) (backend.Created, error) {
	u.asked = append(u.asked, h)
	return backend.Created{}, backend.Unreachable("", backend.CallCreate).Because(backend.ErrUnanswered)
}

// A token that did not answer may take the key over yet: its row is not closed while that can be.
func TestTransferThatIsNotAnswered(t *testing.T) {
	p := newPlanet(t)
	k := p.create(lifecycle.CreateKeyInput{MultiRegion: true})
	there := p.regions[away].(*hsmstore.Backend)
	silent := &unanswered{Backend: there}
	p.regions[away] = silent
	_, err := p.ReplicateKey(t.Context(), p.root, &lifecycle.ReplicateInput{KeyID: string(k.ID), ReplicaRegion: away})
	require.NoError(t, err)
	_, err = p.moves.TransitOnce(t.Context())
	require.ErrorIs(t, err, backend.ErrUnanswered)
	require.Len(t, silent.asked, 1)
	state := func() keystore.MaterialState {
		for _, m := range p.rows("") {
			if m.ID == silent.asked[0].ID {
				return m.State
			}
		}
		return ""
	}
	assert.Equal(t, keystore.MaterialPlanned, state(), "nobody knows yet")
	p.reconcile()
	assert.Equal(t, keystore.MaterialPlanned, state())

	_, err = there.CreateKey(t.Context(), silent.asked[0]) // there it comes
	require.NoError(t, err)
	p.reconcile()
	assert.Equal(t, keystore.MaterialDestroyed, state())
	p.regions[away] = there
	p.transit()
	p.clean()
}

// A replica that waits for a token that is away costs no rows, however often it is tried.
func TestTransferToATokenThatIsAway(t *testing.T) {
	p := newPlanet(t)
	k := p.create(lifecycle.CreateKeyInput{MultiRegion: true})
	there := p.regions[away].(*hsmstore.Backend)
	_, err := p.ReplicateKey(t.Context(), p.root, &lifecycle.ReplicateInput{KeyID: string(k.ID), ReplicaRegion: away})
	require.NoError(t, err)
	before := len(p.rows(""))
	p.regions[away] = &sick{there}
	for range 3 {
		_, err = p.moves.TransitOnce(t.Context())
		require.ErrorContains(t, err, "CKR_DEVICE_REMOVED")
	}
	assert.Len(t, p.rows(""), before)
	p.regions[away] = there
	p.transit()
	p.clean()
}

// sick is a token that says that it is away.
type sick struct{ *hsmstore.Backend }

func (*sick) Health(context.Context) error {
	return backend.Unreachable("", backend.CallManage).Because(errors.New("CKR_DEVICE_REMOVED"))
}

// A rotation to imported material is in the audit log as any other, and its status can be asked for (developer guide, "Perform
// on-demand key rotation").
func TestRotationToImportedMaterial(t *testing.T) {
	p := newPlanet(t)
	k := p.create(lifecycle.CreateKeyInput{Origin: "EXTERNAL"})
	first := p.wrap(p.root, k.ID, make([]byte, 32))
	_, err := p.ImportKeyMaterial(t.Context(), p.root, first)
	require.NoError(t, err)
	second := p.wrap(p.root, k.ID, []byte("another key of thirty-two bytes!"))
	second.ImportType = "NEW_KEY_MATERIAL"
	out, err := p.ImportKeyMaterial(t.Context(), p.root, second)
	require.NoError(t, err)
	assert.Empty(t, p.log.about(audit.EventRotateKey, k.ARN()))
	_, err = p.RotateKeyOnDemand(t.Context(), p.root, string(k.ID))
	require.NoError(t, err)
	events := p.log.about(audit.EventRotateKey, k.ARN())
	require.Len(t, events, 1)
	got := details(t, events[0].ServiceEventDetails)
	assert.Equal(t, out.KeyMaterialID, got["currentBackingKeyId"])
	assert.Equal(t, "ON_DEMAND", got["rotationType"])

	st, err := p.GetKeyRotationStatus(t.Context(), p.root, string(k.ID))
	require.NoError(t, err)
	assert.False(t, st.Enabled)
	faulty(t, p.EnableKeyRotation(t.Context(), p.root, string(k.ID), 90), keystore.KindUnsupportedOperation,
		k.ARN()+" origin is EXTERNAL which is not valid for this operation.")
}

// kms:ValidTo is Unix time, as AWS documents it, for numeric operators and for dates.
func TestValidToInPolicies(t *testing.T) {
	p := newPlanet(t)
	k := p.create(lifecycle.CreateKeyInput{Origin: "EXTERNAL"})
	limit := p.clock.Now().Add(time.Hour)
	ann := p.user("ann", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["kms:GetParametersForImport"],"Resource":"*"},
		{"Effect":"Allow","Action":"kms:ImportKeyMaterial","Resource":"*","Condition":{
			"NumericLessThanEquals":{"kms:ValidTo":"`+fmt.Sprintf("%d.0", limit.Unix())+`"},
			"DateLessThanEquals":{"kms:ValidTo":"`+limit.Format(time.RFC3339)+`"}}}]}`)
	in := p.wrap(ann, k.ID, make([]byte, 32))
	in.ExpirationModel, in.ValidTo = "", limit.Add(time.Millisecond)
	_, err := p.ImportKeyMaterial(t.Context(), ann, in)
	faulty(t, err, keystore.KindAccessDenied, "*")
	in.ValidTo = limit
	_, err = p.ImportKeyMaterial(t.Context(), ann, in)
	require.NoError(t, err)
}

// cancelledWhileCreating gives a replica whose deletion was scheduled and cancelled while it is held in Creating.
func (p *planet) cancelledWhileCreating(k *keystore.Key) *keystore.Key {
	p.t.Helper()
	p.moves.Hold()
	_, err := p.ReplicateKey(p.t.Context(), p.root, &lifecycle.ReplicateInput{KeyID: string(k.ID), ReplicaRegion: away})
	require.NoError(p.t, err)
	_, err = p.ScheduleKeyDeletion(p.t.Context(), p.there, string(k.ID), 7)
	require.NoError(p.t, err)
	_, err = p.CancelKeyDeletion(p.t.Context(), p.there, string(k.ID))
	require.NoError(p.t, err)
	return p.key(p.there, k.ID)
}

// A replica whose deletion was cancelled before its material came can't be enabled before it is there.
func TestReplicaThatIsDisabledBeforeItsMaterialComes(t *testing.T) {
	p := newPlanet(t)
	k := p.create(lifecycle.CreateKeyInput{MultiRegion: true})
	replica := p.cancelledWhileCreating(k)
	require.Equal(t, keystore.Disabled, replica.State)
	faulty(t, p.EnableKey(t.Context(), p.there, string(k.ID)), keystore.KindInvalidState, replica.ARN()+" is creating.")
	p.moves.Release()
	p.transit()
	require.Equal(t, keystore.Disabled, p.key(p.there, k.ID).State)
	require.NoError(t, p.EnableKey(t.Context(), p.there, string(k.ID)))
	assert.True(t, p.opens(p.key(p.there, k.ID), p.seal(k)))
	p.clean()
}

// Nor does it take material of its own: a replica's is its primary's.
func TestReplicaThatIsToldOfItsMaterialLater(t *testing.T) {
	p := newPlanet(t)
	k := p.create(lifecycle.CreateKeyInput{MultiRegion: true, Origin: "EXTERNAL"})
	material := make([]byte, 32)
	_, err := p.ImportKeyMaterial(t.Context(), p.root, p.wrap(p.root, k.ID, material))
	require.NoError(t, err)
	replica := p.cancelledWhileCreating(k)
	require.Equal(t, keystore.PendingImport, replica.State)
	other := p.wrap(p.there, k.ID, []byte("another key of thirty-two bytes!"))
	_, err = p.ImportKeyMaterial(t.Context(), p.there, other)
	faulty(t, err, keystore.KindInvalidState, replica.ARN()+" is creating.")
	p.moves.Release()
	p.transit()
	_, err = p.ImportKeyMaterial(t.Context(), p.there, other)
	faulty(t, err, keystore.KindIncorrectKeyMaterial, "*")
	_, err = p.ImportKeyMaterial(t.Context(), p.there, p.wrap(p.there, k.ID, material))
	require.NoError(t, err)
	replica = p.key(p.there, k.ID)
	assert.Equal(t, keystore.Enabled, replica.State)
	assert.True(t, p.opens(replica, p.seal(p.key(p.root, k.ID))))
	p.clock.advance(25 * time.Hour)
	_, err = p.expirer.ExpireOnce(t.Context(), p.clock.Now())
	require.NoError(t, err)
	p.clean()
}

// failing is a database whose n-th change from now fails.
type failing struct {
	keystore.DB
	n atomic.Int32
}

var errDisk = errors.New("disk full")

func (f *failing) Update(ctx context.Context, fn func(tx keystore.Tx) error) error {
	if f.n.Add(-1) == 0 {
		return errDisk
	}
	return f.DB.Update(ctx, fn)
}

// What an import, or the end of imported material, leaves open is settled as soon as it is over, not when the reconciler looks
// by itself.
func TestWhatImportsLeaveOpenIsTold(t *testing.T) {
	p := newPlanet(t)
	db := &failing{DB: p.db}
	p.cfg.DB = db
	p.begin()
	k := p.create(lifecycle.CreateKeyInput{Origin: "EXTERNAL"})
	first, second := p.wrap(p.root, k.ID, make([]byte, 32)), p.wrap(p.root, k.ID, make([]byte, 32))
	imports := func(in *lifecycle.ImportInput) error {
		_, err := p.ImportKeyMaterial(t.Context(), p.root, in)
		return err
	}
	for _, c := range []struct {
		what string
		nth  int32 // the change behind that of the key
		call func() error
	}{
		{"a wrapping key that has served", 3, func() error { return imports(first) }},
		{"a second copy", 3, func() error { return imports(second) }},
		{"material that is deleted", 2, func() error {
			_, err := p.DeleteImportedKeyMaterial(t.Context(), p.root, string(k.ID), "")
			return err
		}},
	} {
		require.False(t, lifecycle.TakeTold(p.Service), c.what)
		db.n.Store(c.nth)
		require.NoError(t, c.call(), c.what)
		require.LessOrEqual(t, db.n.Load(), int32(0), c.what)
		assert.True(t, lifecycle.TakeTold(p.Service), c.what)
		p.reconcile()
	}
	p.clean()
}

// Material that waits for its rotation goes from the whole family with the primary's: whoever takes it away works on all of it,
// and the reconciler leaves it to them.
func TestFamilyThatLosesMaterialIsBeingWorkedOn(t *testing.T) {
	for name, lose := range map[string]func(p *planet, id keystore.KeyID, material string) error{
		"deleted": func(p *planet, id keystore.KeyID, material string) error {
			_, err := p.DeleteImportedKeyMaterial(t.Context(), p.root, string(id), material)
			return err
		},
		"expired": func(p *planet, _ keystore.KeyID, _ string) error {
			_, err := p.expirer.ExpireOnce(t.Context(), p.clock.Now().Add(2*time.Hour))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlanet(t)
			k := p.create(lifecycle.CreateKeyInput{MultiRegion: true, Origin: "EXTERNAL"})
			first, second := make([]byte, 32), []byte("another key of thirty-two bytes!")
			_, err := p.ImportKeyMaterial(t.Context(), p.root, p.wrap(p.root, k.ID, first))
			require.NoError(t, err)
			_, err = p.ReplicateKey(t.Context(), p.root, &lifecycle.ReplicateInput{KeyID: string(k.ID), ReplicaRegion: away})
			require.NoError(t, err)
			p.transit()
			in := p.wrap(p.root, k.ID, second)
			in.ImportType, in.ExpirationModel, in.ValidTo = "NEW_KEY_MATERIAL", "KEY_MATERIAL_EXPIRES", p.clock.Now().Add(time.Hour)
			out, err := p.ImportKeyMaterial(t.Context(), p.root, in)
			require.NoError(t, err)
			for _, material := range [][]byte{first, second} {
				_, err = p.ImportKeyMaterial(t.Context(), p.there, p.wrap(p.there, k.ID, material))
				require.NoError(t, err)
			}
			var seen []lifecycle.ReconcileReport
			p.cfg.Hook = func(step string) {
				if step == lifecycle.StepMaterialCondemned {
					seen = append(seen, p.reconcile())
				}
			}
			p.begin()
			require.NoError(t, lose(p, k.ID, out.KeyMaterialID))
			assert.Equal(t, []lifecycle.ReconcileReport{{Busy: 2}}, seen)
			assert.Len(t, p.key(p.there, k.ID).Materials, 1)
			p.clean()
		})
	}
}
