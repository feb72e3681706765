package keystore_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
)

const (
	theAccount = "111122223333"
	theRegion  = "us-west-2"
	theARN     = "arn:aws:kms:us-west-2:111122223333:key/" + keyID
	mrkID      = "mrk-1234abcd12ab34cd56ef1234567890ab"
)

func TestParseRef(t *testing.T) {
	both, keys := keystore.RefKeyOrAlias, keystore.RefKeyOnly
	tests := []struct {
		name  string
		given string
		forms keystore.RefForms
		id    keystore.KeyID
		alias string
		kind  keystore.Kind
		text  string
	}{
		{"id", keyID, keys, keyID, "", "", ""},
		{"id in capitals", strings.ToUpper(keyID), keys, keyID, "", "", ""},
		{"multi-Region id", mrkID, keys, mrkID, "", "", ""},
		{"ARN", theARN, keys, keyID, "", "", ""},
		{"multi-Region ARN", "arn:aws:kms:us-west-2:111122223333:key/" + mrkID, keys, mrkID, "", "", ""},
		{"alias", "alias/app", both, "", "alias/app", "", ""},
		{"alias with slashes", "alias/a/b", both, "", "alias/a/b", "", ""},
		{"alias ARN", "arn:aws:kms:us-west-2:111122223333:alias/app", both, "", "alias/app", "", ""},

		{"alias where keys belong", "alias/app", keys, "", "", keystore.KindNotFound, "Invalid keyId 'alias/app'"},
		{"no form at all", "app", both, "", "", keystore.KindNotFound, "Invalid keyId 'app'"},
		{"nothing", "", both, "", "", keystore.KindNotFound, "Invalid keyId ''"},
		{"32 digits", strings.ReplaceAll(keyID, "-", ""), both, "", "", keystore.KindNotFound, "Invalid keyId '1234abcd12ab34cd56ef1234567890ab'"},
		{"mrk and junk", "mrk-fake", both, "", "", keystore.KindNotFound, "Invalid keyId 'mrk-fake'"},
		{"not hex", "g234abcd-12ab-34cd-56ef-1234567890ab", both, "", "", keystore.KindNotFound, "Invalid keyId 'g234abcd-12ab-34cd-56ef-1234567890ab'"},
		{"another Region", strings.Replace(theARN, "us-west-2", "eu-west-1", 1), both, "", "", keystore.KindNotFound, "Invalid arn eu-west-1"},
		{"another account", strings.Replace(theARN, theAccount, "444455556666", 1), both, "", "", keystore.KindNotFound,
			"Key 'arn:aws:kms:us-west-2:444455556666:key/" + keyID + "' does not exist"},
		{"another account's alias", "arn:aws:kms:us-west-2:444455556666:alias/app", both, "", "", keystore.KindNotFound,
			"Alias arn:aws:kms:us-west-2:444455556666:alias/app is not found."},
		{"another service", "arn:aws:iam::111122223333:user/alice", both, "", "", keystore.KindInvalidArn, "Invalid arn arn:aws:iam::111122223333:user/alice"},
		{"another partition", strings.Replace(theARN, "aws", "aws-cn", 1), both, "", "", keystore.KindInvalidArn, "Invalid arn " + strings.Replace(theARN, "aws", "aws-cn", 1)},
		{"ARN cut short", "arn:aws:kms:us-west-2", both, "", "", keystore.KindInvalidArn, "Invalid arn arn:aws:kms:us-west-2"},
		{"neither key nor alias", "arn:aws:kms:us-west-2:111122223333:grant/x", both, "", "", keystore.KindInvalidArn, "Invalid arn arn:aws:kms:us-west-2:111122223333:grant/x"},
		{"alias behind key/", "arn:aws:kms:us-west-2:111122223333:key/alias/app", both, "", "", keystore.KindInvalidArn, "Invalid arn arn:aws:kms:us-west-2:111122223333:key/alias/app"},
		{"bad id in an ARN", "arn:aws:kms:us-west-2:111122223333:key/x", both, "", "", keystore.KindNotFound, "Invalid keyId 'x'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ref, err := keystore.ParseRef(tt.given, theRegion, theAccount, tt.forms)
			assert.Equal(t, tt.given, ref.Given)
			if tt.kind != "" {
				assert.Equal(t, tt.kind, keystore.KindOf(err))
				assert.Equal(t, tt.text, text(err))
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.id, ref.ID)
			assert.Equal(t, tt.alias, ref.Alias)
		})
	}
}

// FuzzParseRef: any text gives exactly a key, an alias or a fault that callers may see, and what it gives is well formed.
func FuzzParseRef(f *testing.F) {
	for _, seed := range []string{keyID, mrkID, theARN, "alias/app", "arn:aws:kms:us-west-2:111122223333:alias/app", "arn:::::", "arn:aws:kms:us-west-2:111122223333:key/alias/x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, given string) {
		for _, forms := range []keystore.RefForms{keystore.RefKeyOnly, keystore.RefKeyOrAlias} {
			ref, err := keystore.ParseRef(given, theRegion, theAccount, forms)
			if err != nil {
				if k := keystore.KindOf(err); k != keystore.KindNotFound && k != keystore.KindInvalidArn {
					t.Fatalf("%q: %v", given, err)
				}
				continue
			}
			switch {
			case (ref.ID == "") == (ref.Alias == ""):
				t.Fatalf("%q is both or neither: %+v", given, ref)
			case ref.ID != "" && (!ref.ID.Valid() || string(ref.ID) != strings.ToLower(string(ref.ID))):
				t.Fatalf("%q gives the id %q", given, ref.ID)
			case ref.Alias != "" && (!strings.HasPrefix(ref.Alias, "alias/") || forms == keystore.RefKeyOnly):
				t.Fatalf("%q gives the alias %q", given, ref.Alias)
			}
		}
	})
}

// names is a directory of one key and one alias.
type names struct {
	keystore.Directory
	fail error
}

func (n names) LookupKey(_ context.Context, region string, id keystore.KeyID) (*keystore.Key, error) {
	if n.fail != nil {
		return nil, n.fail
	}
	if region != theRegion || id != keyID {
		return nil, keystore.ErrNoRow
	}
	return &keystore.Key{ID: id, Region: region, Account: theAccount}, nil
}

func (n names) LookupAlias(_ context.Context, region, name string) (*keystore.Alias, error) {
	if n.fail != nil {
		return nil, n.fail
	}
	if region != theRegion || name != "alias/app" {
		return nil, keystore.ErrNoRow
	}
	return &keystore.Alias{Name: name, Target: keyID}, nil
}

func TestResolveKey(t *testing.T) {
	c := &keystore.Caller{Account: theAccount, Region: theRegion}
	find := func(d keystore.Directory, given string) (*keystore.Key, error) {
		return keystore.ResolveKey(t.Context(), d, c, given, keystore.RefKeyOrAlias)
	}
	for _, given := range []string{keyID, theARN, "alias/app", "arn:aws:kms:us-west-2:111122223333:alias/app"} {
		k, err := find(names{}, given)
		require.NoError(t, err, given)
		assert.Equal(t, theARN, k.ARN())
	}
	_, err := find(names{}, mrkID)
	assert.Equal(t, "Key 'arn:aws:kms:us-west-2:111122223333:key/"+mrkID+"' does not exist", text(err))
	_, err = find(names{}, "alias/other")
	assert.Equal(t, "Alias arn:aws:kms:us-west-2:111122223333:alias/other is not found.", text(err))
	_, err = find(names{}, "nonsense")
	assert.Equal(t, keystore.KindNotFound, keystore.KindOf(err))
	broken := errors.New("disk gone")
	for _, given := range []string{keyID, "alias/app"} {
		_, err = find(names{fail: broken}, given)
		assert.ErrorIs(t, err, broken)
		assert.Equal(t, keystore.KindInternal, keystore.KindOf(err))
	}
}
