package statetest

import (
	"fmt"
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// Where the fixtures live.
const (
	Account = "111122223333"
	Region  = "us-east-1"
	Other   = "eu-west-1"
)

// Noon is a time with nanoseconds, which must survive.
var Noon = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

// KeyID gives the n-th key id of the fixtures; they ascend with n.
func KeyID(n int) keystore.KeyID {
	return keystore.KeyID(fmt.Sprintf("%08x-0000-4000-8000-000000000000", n))
}

// MaterialID gives the n-th material id of the fixtures; they ascend with n.
func MaterialID(n int) keystore.MaterialID {
	return keystore.MaterialID{0x80, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

// Key makes the n-th key of a Region: enabled, on the default store, with one material.
func Key(region string, n int) *keystore.Key {
	return &keystore.Key{
		ID: KeyID(n), Account: Account, Region: region, Origin: keystore.OriginKMS,
		Spec: keystore.SymmetricDefault, Usage: keystore.UsageEncryptDecrypt,
		Description: fmt.Sprintf("key %d", n), Created: Noon, State: keystore.Enabled,
		Policy:    `{"Version":"2012-10-17","Statement":[]}`,
		Materials: []keystore.KeyMaterial{{ID: MaterialID(n), State: keystore.MaterialCurrent, Created: Noon}},
	}
}

// FullKey makes a key with every field set, however unlikely together.
func FullKey(n int, store keystore.StoreID) *keystore.Key {
	k := Key(Region, n)
	k.Origin, k.StoreID, k.ClusterID, k.XksKeyID = keystore.OriginXKS, store, "cluster-1a23b4cdefg", "external/key 1"
	k.State, k.DeletionDate, k.WindowDays = keystore.PendingDeletion, Noon.Add(7*24*time.Hour), 7
	k.ScheduledAt, k.ScheduledBy = Noon, "arn:aws:iam::"+Account+":user/alice"
	k.Tags = []keystore.Tag{{Key: "a", Value: "1"}, {Key: "b", Value: "ünïcode ☃"}}
	k.Materials = append(k.Materials, keystore.KeyMaterial{
		ID: MaterialID(n + 1<<20), State: keystore.MaterialNonCurrent, Created: Noon.Add(1), Rotated: Noon.Add(2),
		RotationType: "AUTOMATIC", KMSID: "f0", Description: "second", ValidTo: Noon.Add(3), Imported: true,
	})
	k.MultiRegion = &keystore.MultiRegion{Primary: true, PrimaryRegion: Region, ReplicaRegions: []string{Other}}
	k.Rotation = keystore.Rotation{Enabled: true, PeriodDays: 365, Since: Noon, Next: Noon.Add(time.Hour), OnDemand: 2}
	k.Import = &keystore.ImportState{ExpirationModel: "KEY_MATERIAL_EXPIRES", ValidTo: Noon.Add(time.Minute)}
	return k
}

// Alias makes an alias.
func Alias(region, name string, target keystore.KeyID) *keystore.Alias {
	return &keystore.Alias{Name: name, Account: Account, Region: region, Target: target, Created: Noon, Updated: Noon.Add(1)}
}

// Grantee is the grantee of every Grant.
const Grantee = "arn:aws:iam::" + Account + ":role/worker"

// Grant makes the n-th grant on a key, with every field set.
func Grant(region string, key keystore.KeyID, n int) *keystore.Grant {
	return &keystore.Grant{
		ID: fmt.Sprintf("%064x", n), KeyID: key, Region: region, Name: "payroll",
		Grantee: Grantee, GranteeService: "worker.amazonaws.com",
		Retiring: "arn:aws:iam::" + Account + ":role/admin", RetiringService: "admin.amazonaws.com",
		Issuer: "arn:aws:iam::" + Account + ":root", Operations: []string{"Decrypt", "Encrypt"},
		ContextEquals: map[string]string{"a": "b"}, ContextSubset: map[string]string{"c": "d"}, SourceARN: "arn:aws:s3:::x",
		Token: fmt.Sprintf("token-%s-%s-%d", region, key, n), Created: Noon, ParametersDigest: "digest",
		IssuingPrincipal: "arn:aws:iam::" + Account + ":user/alice", ParentGrant: "parent", HasConstraints: true,
	}
}

// Store makes the n-th custom key store of a Region, CloudHSM-style, with a cluster of its own.
func Store(region string, n int) *keystore.Store {
	return &keystore.Store{
		ID: keystore.StoreID(fmt.Sprintf("cks-%017x", n)), Account: Account, Region: region, Name: fmt.Sprintf("store %d", n),
		Type: keystore.StoreCloudHSM, Created: Noon, Conn: keystore.Failed, ConnError: keystore.ConnInvalidCredentials,
		ConnCause: "CKR_PIN_INCORRECT", ClusterID: fmt.Sprintf("cluster-%011d", n), TrustAnchor: "PEM",
		SealedPassword: []byte{0, 1, 2}, PasswordDigest: []byte{3, 4},
	}
}

// XksStore makes the n-th custom key store of a Region, external, with a proxy URI of its own.
func XksStore(region string, n int) *keystore.Store {
	s := Store(region, n)
	s.Type, s.ClusterID, s.TrustAnchor, s.SealedPassword, s.PasswordDigest = keystore.StoreXKS, "", "", nil, nil
	s.Xks = &keystore.XksConfig{
		Connectivity: "PUBLIC_ENDPOINT", AccessKeyID: "ABCDEFGHIJKLMNOPQRST", SealedSecret: []byte{5}, SecretDigest: []byte{6},
		URIEndpoint: "https://xks.example.com", URIPath: fmt.Sprintf("/%d/kms/xks/v1", n),
	}
	return s
}

// Material makes the n-th ledger row, with every field set.
func Material(n int, state keystore.MaterialState) *keystore.Material {
	return &keystore.Material{
		ID: MaterialID(n), State: state, Kind: keystore.MaterialOnToken, KeyID: KeyID(n),
		KeyARN: keystore.KeyARN(Region, Account, KeyID(n)), Region: Region, StoreID: "cks-1", ClusterID: "cluster-1",
		Token: keystore.TokenIdentity{Label: "t", Serial: "s", Manufacturer: "m", Model: "o"},
		Label: "label", Classes: []string{"CKO_SECRET_KEY"}, KeyType: "CKK_AES", CheckValue: "c0ffee", ExternalID: "x",
		PlannedAt: Noon, CreatedAt: Noon.Add(1), KeyCreated: Noon.Add(2), ScheduledAt: Noon.Add(3), ScheduledBy: "alice",
		DeletedAt: Noon.Add(4), EndedAt: Noon.Add(5), Reason: "CKR_DEVICE_REMOVED", Attempts: 2, Note: "shredded",
	}
}
