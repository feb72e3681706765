package dev

import (
	"fmt"
	"strings"

	"github.com/strongroom/strongroom/cmd/strongroom/config"
)

// OptionError is what is wrong with options: mistakes in a command line.
type OptionError struct{ Problems []string }

// Error implements error.
func (e *OptionError) Error() string { return strings.Join(e.Problems, "; ") }

// Flags gives the options' names on the command line, by the field of the configuration that they become.
func Flags() map[string]string {
	return map[string]string{
		"account": "--account", "regions": "--region", "kms.listen": "--kms-addr", "xks.listen": "--xks-addr", "admin.listen": "--admin-addr",
	}
}

// plausible refuses options of which no configuration can be made, before anything is kept or made for them. It answers an
// *OptionError.
func (o *Options) plausible() error {
	const token = "token"
	c := &config.Config{
		Account: o.Account, Regions: o.Regions, DataDir: o.Dir, DefaultStores: map[string]string{},
		KMS:    config.Listener{Listen: o.KMSAddr, Insecure: true},
		XKS:    config.XKS{Listener: config.Listener{Listen: o.XKSAddr, TLS: &config.TLS{Certificate: token, Key: token}}},
		Admin:  config.Admin{Listen: o.AdminAddr},
		Tokens: []config.Token{{Name: token, Module: "/" + token, Label: token, PIN: "file:" + token}},
		Audit:  config.Audit{MaxFileMB: 1},
		Log:    config.Log{Level: "warn", Format: "text"},
	}
	for _, r := range o.Regions {
		c.DefaultStores[r] = token
	}
	e, flags := new(OptionError), Flags()
	for _, p := range c.Validate() {
		field, _, _ := strings.Cut(p.Field, "[")
		name, known := flags[field]
		if !known {
			name = p.Field
		}
		e.Problems = append(e.Problems, fmt.Sprintf("%s: %s", name, strings.TrimSuffix(p.Message, " in quotes")))
	}
	if e.Problems == nil {
		return nil
	}
	return e
}
