package dev

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// kept is what a dev directory keeps besides the appliance's own state: dev.json. It has secrets in the clear, as nothing
// but a throw-away appliance may.
type kept struct {
	Account      string                `json:"account"`
	Tokens       map[string]*keptToken `json:"tokens"` // by name
	Clusters     []keptCluster         `json:"clusters"`
	XKSAccessKey string                `json:"xks_access_key"`
	XKSSecretKey string                `json:"xks_secret_key"`
	// XKS2 is the credential of the second realm.
	XKS2 keptCredential `json:"xks_2"`

	path string
}

type keptToken struct {
	Label string `json:"label"`
	PIN   string `json:"pin"`
	SOPIN string `json:"so_pin"`
	Made  bool   `json:"made"` // it was there once
}

type keptCredential struct {
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
}

type keptCluster struct {
	ID string `json:"id"`
}

// clusters is how many CloudHSM-style clusters a dev appliance has.
const clusters = 2

// openKept reads dev.json and adds what it has not: it is on disk before anything that it names is made.
func openKept(path, account string, regions []string) (*kept, error) {
	k := &kept{Account: account, Tokens: map[string]*keptToken{}, path: path}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := k.begin(); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	default:
		if err := json.Unmarshal(data, k); err != nil {
			return nil, fmt.Errorf("%s: %w; start with another --dir", path, err)
		}
		if k.Account != account {
			return nil, fmt.Errorf("this directory belongs to account %s; say --account %s, or start with another --dir", k.Account, k.Account)
		}
	}
	if k.XKS2.AccessKey == "" {
		// New, or of a version with one realm.
		if k.XKS2, err = newCredential(); err != nil {
			return nil, err
		}
	}
	names := append(slices.Clone(regions), xksToken, xksToken2)
	for i := range clusters {
		names = append(names, clusterToken(i))
	}
	for _, name := range names {
		if k.Tokens[name] != nil {
			continue
		}
		pin, so := letters(16), letters(16)
		k.Tokens[name] = &keptToken{Label: "strongroom-" + name, PIN: pin, SOPIN: so}
	}
	return k, k.save()
}

// begin draws the secrets of a new directory.
func (k *kept) begin() error {
	for range clusters {
		// AWS's form: letters and the digits 2 to 7.
		k.Clusters = append(k.Clusters, keptCluster{ID: "cluster-" + letters(11)})
	}
	c, err := newCredential()
	k.XKSAccessKey, k.XKSSecretKey = c.AccessKey, c.SecretKey
	return err
}

// newCredential draws a credential of a realm.
func newCredential() (keptCredential, error) {
	var b [36]byte
	_, err := rand.Read(b[:])
	return keptCredential{"DEV" + upper(20), base64.StdEncoding.EncodeToString(b[:])}, err
}

func (k *kept) save() error {
	data, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(k.path, append(data, '\n'))
}

// names lists the tokens in a fixed order.
func (k *kept) names() []string {
	out := make([]string, 0, len(k.Tokens))
	for name := range k.Tokens {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func (k *kept) isCluster(name string) bool {
	for i := range k.Clusters {
		if name == clusterToken(i) {
			return true
		}
	}
	return false
}

// upper draws n of A-Z and 2-7.
func upper(n int) string {
	b := make([]byte, n)
	rand.Read(b) //nolint:errcheck // crypto/rand never fails
	return base32.StdEncoding.EncodeToString(b)[:n]
}

// letters draws n of a-z and 2-7.
func letters(n int) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	b := make([]byte, n)
	rand.Read(b) //nolint:errcheck // crypto/rand never fails
	for i := range b {
		b[i] = alphabet[b[i]&31]
	}
	return string(b)
}
