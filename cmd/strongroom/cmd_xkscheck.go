package main

import (
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/xks"
	"github.com/strongroom/strongroom/xks/conformance"
)

// checkFlags are the flags of xks check.
type checkFlags struct {
	proxyTarget
	second, disabled, encryptOnly, decryptOnly, otherPath, junit string
	otherCert, otherKey                                          string
	json                                                         bool
}

func newXKSCheck() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check https://HOST[/PREFIX/kms/xks/v1] --credential-file FILE --key-id ID",
		Short: "Hold any XKS proxy against AWS's specification",
		Long: "Play AWS KMS against an external key store proxy, anybody's: every MUST and SHOULD of the XKS proxy API specification\n" +
			"that can be seen from outside is a named check. It needs one enabled AES-256 key for tests, and makes, changes and\n" +
			"deletes none. Checks that need more are skipped without it: a second credential, another tenant's path, a key that is\n" +
			"disabled, one that only encrypts, one that only decrypts.\n\n" +
			"Exit code: 0 the proxy conforms (warnings are SHOULDs), 1 it does not, 2 the command line or a file that it names is\n" +
			"wrong and nothing was checked. A port in the URL is for laboratories: KMS itself calls port 443.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := f.config(args[0])
			if err != nil {
				return err
			}
			report, err := conformance.Run(cmd.Context(), *cfg, nil)
			if report == nil {
				return err
			}
			if err = errors.Join(err, f.write(cmd.OutOrStdout(), report)); err != nil {
				return failure{err}
			}
			if !report.Conforms() {
				return failure{errors.New("")}
			}
			return nil
		},
	}
	f.flags(cmd)
	must(cmd.MarkFlagRequired("key-id"))
	fl := cmd.Flags()
	fl.StringVar(&f.second, "second-credential-file", "", "file with a second credential of the same path")
	fl.StringVar(&f.otherPath, "other-path", "", "URI path of another tenant, where the credential must be refused")
	fl.StringVar(&f.disabled, "disabled-key-id", "", "external key id of a disabled key")
	fl.StringVar(&f.encryptOnly, "encrypt-only-key-id", "", "external key id of a key that only encrypts")
	fl.StringVar(&f.decryptOnly, "decrypt-only-key-id", "", "external key id of a key that only decrypts")
	fl.StringVar(&f.otherCert, "other-client-cert", "", "client certificate of the same authority with a name that must be refused")
	fl.StringVar(&f.otherKey, "other-client-key", "", "PEM file with its key, mode 0600")
	cmd.MarkFlagsRequiredTogether("other-client-cert", "other-client-key")
	fl.StringVar(&f.junit, "junit", "", "also write the report as JUnit XML to this file")
	fl.BoolVar(&f.json, "json", false, "print JSON for programs")
	return cmd
}

// config makes the run's configuration of URL and flags.
func (f *checkFlags) config(arg string) (*conformance.Config, error) {
	p, err := f.open(arg)
	if err = errors.Join(err, xks.CheckKeyID(f.keyID)); err != nil {
		return nil, err
	}
	cfg := &conformance.Config{
		Endpoint: p.endpoint, URIPath: p.uriPath, Credential: p.credential, Region: f.region, KeyID: f.keyID, AllowPort: true,
		RootCAs: p.roots, DisabledKeyID: f.disabled, EncryptOnlyKeyID: f.encryptOnly, DecryptOnlyKeyID: f.decryptOnly,
		OtherURIPath: f.otherPath, ClientCertificate: p.client,
	}
	if err := clientPair(f.otherCert, f.otherKey, &cfg.OtherClientCertificate); err != nil {
		return nil, err
	}
	if f.second == "" {
		return cfg, nil
	}
	_, second, err := readProxyFile(f.second)
	cfg.SecondCredential = &second
	return cfg, err
}

// write gives the report to whoever reads it, and to a file.
func (f *checkFlags) write(out io.Writer, report *conformance.Report) error {
	var err error
	if f.json {
		err = report.WriteJSON(out)
	} else {
		err = report.WriteText(out)
	}
	if f.junit == "" {
		return err
	}
	file, ferr := os.Create(f.junit)
	if ferr != nil {
		return errors.Join(err, ferr)
	}
	return errors.Join(err, report.WriteJUnit(file), file.Close())
}
