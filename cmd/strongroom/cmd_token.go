package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/cmd/strongroom/config"
	"github.com/strongroom/strongroom/cmd/strongroom/dev"
	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmstore"
	"github.com/strongroom/strongroom/hsm/pkcs11"
	"github.com/strongroom/strongroom/keystore"
)

func newToken() *cobra.Command {
	return group("token", "PKCS#11 modules and their tokens", newTokenList(), newTokenDoctor(), newTokenProfiles())
}

type tokenRow struct {
	Slot         uint   `json:"slot"`
	Label        string `json:"token_label"`
	Serial       string `json:"token_serial"`
	Manufacturer string `json:"token_manufacturer"`
	Model        string `json:"token_model"`
	Profile      string `json:"profile"`
	Initialized  bool   `json:"initialized"`
	UserPINSet   bool   `json:"user_pin_set"`
}

func newTokenList() *cobra.Command {
	var module, args string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the tokens of a PKCS#11 module; logs in to none",
		Args:  cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			path, err := dev.FindModule(module)
			if err != nil {
				return err
			}
			rows, err := listTokens(cmd.Context(), path, args)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), rows)
			}
			out := [][]string{{"LABEL", "SERIAL", "MANUFACTURER", "MODEL", "PROFILE", "SLOT", "STATE"}}
			for _, r := range rows {
				state := "ready"
				switch {
				case !r.Initialized:
					state = "blank"
				case !r.UserPINSet:
					state = "no user PIN"
				}
				out = append(out, []string{r.Label, r.Serial, r.Manufacturer, r.Model, r.Profile, strconv.FormatUint(uint64(r.Slot), 10), state})
			}
			return table(cmd.OutOrStdout(), out...)
		}),
	}
	cmd.Flags().StringVar(&module, "module", "", "PKCS#11 library (default: SoftHSM2's)")
	cmd.Flags().StringVar(&args, "module-args", "", "string for C_Initialize, for modules that need one")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON for programs")
	return cmd
}

func listTokens(ctx context.Context, path, args string) (rows []tokenRow, err error) {
	lib, err := pkcs11.Library(path, args)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, pkcs11.CloseAll(context.WithoutCancel(ctx))) }()
	present, err := lib.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	rows = []tokenRow{}
	for _, t := range present {
		rows = append(rows, tokenRow{t.Slot, t.Label, t.Serial, t.Manufacturer, t.Model, hsm.DetectProfile(path, t.Manufacturer).Name, t.Initialized, t.UserPINSet})
	}
	return rows, nil
}

func newTokenProfiles() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "profiles",
		Short: "List what is known of vendors' modules",
		Args:  cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return printJSON(cmd.OutOrStdout(), hsm.Profiles())
			}
			rows := [][]string{{"NAME", "FROM"}}
			for _, p := range hsm.Profiles() {
				rows = append(rows, []string{p.Name, p.Note})
			}
			return table(cmd.OutOrStdout(), rows...)
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON for programs")
	return cmd
}

// finding is one thing that the doctor tried.
type finding struct {
	Check    string `json:"check"`
	OK       bool   `json:"ok"`
	Optional bool   `json:"optional"` // what a token need not have: it holds no keys of that kind
	Detail   string `json:"detail"`
}

func newTokenDoctor() *cobra.Command {
	var module, args, label, serial, pin, profile string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor --label LABEL --pin file:PATH",
		Short: "Try on a token what Strongroom needs of it, and tell what keys it can hold",
		Long: "Log in to a token once, make an AES-256 key, use it, read its attributes back, destroy it. The key is labelled\n" +
			"strongroom:doctor. Then tell for every key spec whether the token can hold such keys. Nothing is left on the token but\n" +
			"strongroom:canary, the key of health checks. The PIN is given by reference: file:PATH, env:NAME or credential:NAME.",
		Args: cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			path, err := dev.FindModule(module)
			if err != nil {
				return err
			}
			secret, err := config.SecretRef(pin).Resolve()
			if err != nil {
				return fmt.Errorf("--pin: %w", err)
			}
			findings := examine(cmd.Context(), hsm.Config{
				Selector: hsm.Selector{Module: path, InitArgs: args, Label: label, Serial: serial},
				PIN:      hsm.NewSecret(secret), Profile: profile,
			})
			return showFindings(cmd.OutOrStdout(), findings, asJSON)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&module, "module", "", "PKCS#11 library (default: SoftHSM2's)")
	f.StringVar(&args, "module-args", "", "string for C_Initialize, for modules that need one")
	f.StringVar(&label, "label", "", "token label")
	f.StringVar(&serial, "serial", "", "token serial number")
	f.StringVar(&pin, "pin", "", "where the user PIN is: file:PATH, env:NAME or credential:NAME")
	f.StringVar(&profile, "profile", "", "vendor profile (default: found out)")
	f.BoolVar(&asJSON, "json", false, "print JSON for programs")
	must(cmd.MarkFlagRequired("pin"))
	cmd.MarkFlagsOneRequired("label", "serial")
	return cmd
}

func showFindings(w io.Writer, findings []finding, asJSON bool) error {
	bad := 0
	rows := [][]string{{"CHECK", "RESULT", "DETAIL"}}
	for _, f := range findings {
		result := "ok"
		switch {
		case !f.OK && f.Optional:
			result = "no"
		case !f.OK:
			result = "FAILED"
			bad++
		}
		rows = append(rows, []string{f.Check, result, f.Detail})
	}
	var err error
	if asJSON {
		err = printJSON(w, findings)
	} else {
		err = table(w, rows...)
	}
	if err == nil && bad > 0 {
		err = fmt.Errorf("%d of %d checks failed; Strongroom cannot keep keys on this token", bad, len(findings))
	}
	return err
}

// examine tries what a default store needs of a token. It stops where nothing further can work.
func examine(ctx context.Context, cfg hsm.Config) (out []finding) {
	try := func(name string, fn func() (string, error)) bool {
		detail, err := fn()
		if err != nil {
			detail = err.Error()
		}
		out = append(out, finding{Check: name, OK: err == nil, Detail: detail})
		return err == nil
	}
	var t *hsm.Token
	if !try("open and log in", func() (detail string, err error) {
		t, err = pkcs11.Open(ctx, cfg)
		if err != nil {
			return "", err
		}
		i := t.Info()
		return fmt.Sprintf("%s %s, serial %s, profile %s", i.Manufacturer, i.Model, i.Serial, i.Profile), nil
	}) {
		return out
	}
	defer func() {
		try("log out", func() (string, error) {
			return "", errors.Join(t.Close(), pkcs11.CloseAll(context.WithoutCancel(ctx)))
		})
	}()
	id := make([]byte, 16)
	rand.Read(id) //nolint:errcheck // crypto/rand never fails
	ref := hsm.KeyRef{ID: id, Label: "strongroom:doctor"}
	try("draw random bytes", func() (string, error) { return "", t.Random(ctx, make([]byte, 1024)) })
	if try("make an AES-256 key, sensitive and not extractable", func() (string, error) {
		o, err := t.Generate(ctx, hsm.Template{KeyRef: ref, Kind: hsm.AES256, Usage: hsm.UseEncrypt | hsm.UseDecrypt})
		return fmt.Sprintf("check value %x", o.CheckValue), err
	}) {
		try("seal and open with AES-GCM", func() (string, error) { return sealing(ctx, t, ref) })
		try("find the key by its CKA_ID", func() (string, error) {
			found, err := t.FindID(ctx, id)
			if err == nil && len(found) != 1 {
				err = fmt.Errorf("%d objects were found", len(found))
			}
			return "", err
		})
		try("destroy the key", func() (string, error) {
			n, err := t.Destroy(ctx, ref)
			if err == nil && n == 0 {
				err = errors.New("the key was not found")
			}
			return "", err
		})
		out = append(out, kinds(ctx, hsmstore.NewDefault(t).AllSpecs())...)
	}
	return out
}

// kinds tells for each key spec and usage whether the token can hold such keys.
func kinds(ctx context.Context, store *hsmstore.Backend) (out []finding) {
	for _, spec := range keystore.Specs() {
		info, _ := keystore.LookupSpec(spec)
		for _, usage := range slices.Sorted(maps.Keys(info.Usages)) {
			can, err := store.Supports(ctx, spec, usage)
			f := finding{Check: fmt.Sprintf("keys of spec %s for %s", spec, usage), OK: can, Optional: true}
			switch {
			case err != nil:
				f.OK, f.Optional, f.Detail = false, false, err.Error()
			case !can:
				f.Detail = "CreateKey refuses them with UnsupportedOperationException"
			}
			out = append(out, f)
		}
	}
	return out
}

// sealing seals, opens, and shows that an altered text is told from a good one. It measures a little.
func sealing(ctx context.Context, t *hsm.Token, ref hsm.KeyRef) (string, error) {
	aad, plain := []byte("additional data"), []byte("thirty-two bytes of plaintext...")
	sealed, err := t.Seal(ctx, ref, aad, plain, nil)
	if err != nil {
		return "", err
	}
	back, err := t.Open(ctx, ref, aad, sealed, nil)
	if err != nil {
		return "", err
	}
	if string(back) != string(plain) {
		return "", errors.New("the plaintext came back changed")
	}
	sealed[len(sealed)-1] ^= 1
	if _, err := t.Open(ctx, ref, aad, sealed, nil); !errors.Is(err, hsm.BadCiphertext) {
		return "", fmt.Errorf("an altered text was not refused as such: %w", err)
	}
	const n = 200
	began := time.Now()
	for range n {
		if sealed, err = t.Seal(ctx, ref, aad, plain, sealed[:0]); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%.0f seals a second on one thread", n/time.Since(began).Seconds()), nil
}
