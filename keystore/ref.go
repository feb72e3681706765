package keystore

import (
	"context"
	"errors"
	"strings"
)

// Ref is a key identifier as a caller gave it, taken apart.
type Ref struct {
	Given string
	ID    KeyID  // lower case; "" for an alias
	Alias string // with "alias/"; "" for a key
}

// RefForms says which identifier forms an operation takes (developer guide, "Key identifiers (KeyId)").
type RefForms uint8

// The forms.
const (
	RefKeyOnly    RefForms = iota // key id or key ARN
	RefKeyOrAlias                 // also alias name or alias ARN
)

// ParseRef takes an identifier apart within a Region and account. Its faults are AWS's, recorded (api-errors.md section 6):
// an identifier that is neither is NotFound "Invalid keyId '…'", an ARN of another Region NotFound "Invalid arn <region>".
func ParseRef(given, region, account string, forms RefForms) (Ref, error) {
	ref := Ref{Given: given}
	rest := given
	if strings.HasPrefix(given, "arn:") {
		parts := strings.SplitN(given, ":", 6)
		if len(parts) != 6 || parts[2] != "kms" || parts[1] != "aws" {
			return ref, Faultf(KindInvalidArn, "Invalid arn %s", given)
		}
		if parts[3] != region {
			return ref, Faultf(KindNotFound, "Invalid arn %s", parts[3])
		}
		rest = parts[5]
		id, isKey := strings.CutPrefix(rest, "key/")
		switch {
		case isKey && parts[4] != account:
			// Another account's key: there is none on this appliance.
			return ref, Faultf(KindNotFound, "Key '%s' does not exist", given)
		case isKey:
			rest = id
		case !strings.HasPrefix(rest, "alias/"):
			return ref, Faultf(KindInvalidArn, "Invalid arn %s", given)
		case parts[4] != account:
			return ref, Faultf(KindNotFound, "Alias %s is not found.", given)
		}
		if isKey && strings.HasPrefix(rest, "alias/") {
			return ref, Faultf(KindInvalidArn, "Invalid arn %s", given)
		}
	}
	if strings.HasPrefix(rest, "alias/") {
		if forms == RefKeyOnly {
			return ref, Faultf(KindNotFound, "Invalid keyId '%s'", given)
		}
		ref.Alias = rest
		return ref, nil
	}
	id := KeyID(rest)
	if !id.Valid() {
		return ref, Faultf(KindNotFound, "Invalid keyId '%s'", rest)
	}
	ref.ID = KeyID(strings.ToLower(rest))
	return ref, nil
}

// NoSuchKey is AWS's fault for a well-formed id without a key.
func NoSuchKey(region, account string, id KeyID) *Fault {
	return Faultf(KindNotFound, "Key '%s' does not exist", KeyARN(region, account, id))
}

// NoSuchStore is the fault for an unknown custom key store. AWS's words are not recorded.
func NoSuchStore(id StoreID) *Fault {
	return Faultf(KindCustomKeyStoreNotFound, "The custom key store %s does not exist.", id)
}

// NoSuchAlias is AWS's fault for an unknown alias.
func NoSuchAlias(region, account, name string) *Fault {
	return Faultf(KindNotFound, "Alias %s is not found.", AliasARN(region, account, name))
}

// ResolveKey finds the key that an identifier names, through an alias where the forms allow it.
func ResolveKey(ctx context.Context, d Directory, c *Caller, given string, forms RefForms) (*Key, error) {
	ref, err := ParseRef(given, c.Region, c.Account, forms)
	if err != nil {
		return nil, err
	}
	id := ref.ID
	if ref.Alias != "" {
		a, err := d.LookupAlias(ctx, c.Region, ref.Alias)
		if errors.Is(err, ErrNoRow) {
			return nil, NoSuchAlias(c.Region, c.Account, ref.Alias)
		}
		if err != nil {
			return nil, err
		}
		id = a.Target
	}
	k, err := d.LookupKey(ctx, c.Region, id)
	if errors.Is(err, ErrNoRow) {
		return nil, NoSuchKey(c.Region, c.Account, id)
	}
	return k, err
}
