package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/cmd/strongroom/admin"
	"github.com/strongroom/strongroom/cmd/strongroom/appliance"
	"github.com/strongroom/strongroom/cmd/strongroom/dev"
)

// crashVariable names a step at which `strongroom dev`, and nothing else, ends by SIGKILL: the tests of crashes use it.
const crashVariable = "STRONGROOM_CRASH_AT"

type devFlags struct {
	dir, kms, xks, admin, account, module string
	regions                               []string
	xksTimeout                            time.Duration
	quiet                                 bool
}

func newDev() *cobra.Command {
	var f devFlags
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a whole appliance on SoftHSM2 tokens, for trying out and for tests",
		Long: "Run a whole appliance on SoftHSM2 tokens. When it is ready it writes dev.env into its directory:\n" +
			"source that file, and AWS's CLI and SDKs use the appliance.",
		Args: cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			return runDev(cmd.Context(), &f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		}),
	}
	fl := cmd.Flags()
	fl.StringVar(&f.dir, "dir", "", "keep everything in this directory, and continue what is there (default: a temporary one)")
	fl.StringVar(&f.kms, "kms-addr", "127.0.0.1:8080", "address of the KMS API")
	fl.StringVar(&f.xks, "xks-addr", "127.0.0.1:8443", "address of the XKS proxy")
	fl.StringVar(&f.admin, "admin-addr", "127.0.0.1:8081", "address of /healthz, /readyz and /metrics")
	fl.StringSliceVar(&f.regions, "region", []string{"us-east-1"}, "Regions, the first is the default")
	fl.StringVar(&f.account, "account", "000000000000", "account number")
	fl.StringVar(&f.module, "module", "", "SoftHSM2's library (default: looked for)")
	fl.DurationVar(&f.xksTimeout, "xks-timeout", 0, "how long external key stores' proxies, this one too, may take to answer (default: AWS's 250ms)")
	fl.BoolVar(&f.quiet, "quiet", false, "print nothing but problems")
	cmd.AddCommand(newDevAdvance(), newDevXKSFault(),
		group("hold", "Keep something from happening", newDevHold("Keep stores in CONNECTING, and multi-Region keys in Creating and Updating", admin.PathHold, "held")),
		group("release", "Let happen what was held", newDevHold("Let stores leave CONNECTING, and multi-Region keys Creating and Updating", admin.PathRelease, "released")))
	return cmd
}

func runDev(ctx context.Context, f *devFlags, out, errOut io.Writer) (err error) {
	began := time.Now()
	syscall.Umask(0o077)
	dir, throwAway, err := dev.Dir(f.dir)
	if err != nil {
		return err
	}
	if throwAway {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	lock, err := appliance.Lock(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	starting, started := unhurried(ctx)
	defer started()
	setup, err := dev.Prepare(starting, dev.Options{
		Dir: dir, KMSAddr: f.kms, XKSAddr: f.xks, AdminAddr: f.admin, Regions: f.regions, Account: f.account, Module: f.module,
		ExternalTimeout: f.xksTimeout,
	})
	if bad := (*dev.OptionError)(nil); errors.As(err, &bad) {
		return mistake{bad}
	}
	if err != nil {
		return err
	}
	a, err := appliance.Open(starting, appliance.Options{
		Config: setup.Config, Clock: setup.Clock, Mover: setup.Clock, Faults: setup.Faults(), Logger: newLogger(errOut, setup.Config.Log),
		Version: version(), Create: true, Locked: true, Names: dev.Flags(), Hook: crashHook(os.Getenv(crashVariable)),
		ProxyDeadline: setup.ProxyDeadline(),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	credentials, err := readyRealms(starting, a, setup)
	if err != nil {
		return err
	}
	root, err := a.RootKey(starting)
	if err != nil {
		return err
	}
	ready := func() error {
		err := dev.WriteEnv(setup.EnvFile(), setup.Vars(dev.Running{
			KMSAddr: a.Addr("kms"), XKSAddr: a.Addr("xks"), AdminAddr: a.Addr("admin"), AdminSocket: setup.Config.AdminSocket(),
			AccessKeyID: root.AccessKeyID, SecretKey: root.Secret, XKS: credentials,
		}))
		if err == nil && !f.quiet {
			greet(out, setup, a, time.Since(began))
		}
		return err
	}
	err = serveUntil(ctx, a, ready)
	return errors.Join(err, dev.RemoveEnv(setup.EnvFile()))
}

func greet(out io.Writer, s *dev.Setup, a *appliance.Appliance, took time.Duration) {
	env := s.EnvFile()
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, env); err == nil && !strings.HasPrefix(rel, "..") {
			env = rel
		}
	}
	fmt.Fprintf(out, "Strongroom is ready after %d ms.\n"+
		"  KMS API    http://%s  (%s)\n  XKS proxy  https://%s\n  figures    http://%s/metrics\n\n"+
		"In another shell:\n\n  source %s\n  aws kms create-key\n\nCtrl-C stops it.\n",
		took.Milliseconds(), a.Addr("kms"), strings.Join(s.Config.Regions, ", "), a.Addr("xks"), a.Addr("admin"), env)
}

// crashHook makes the hook that ends this process at the named step, nil where none is named.
func crashHook(step string) func(string) {
	if step == "" {
		return nil
	}
	return func(at string) {
		if at != step {
			return
		}
		// Kill cannot be caught, so nothing runs after this step, not even deferred functions.
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func newDevAdvance() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "advance SPAN",
		Short: "Move the clock forward, as by 7d or 36h, and do all that becomes due",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := cobra.ExactArgs(1)(cmd, args); err != nil {
				return err
			}
			_, err := dev.ParseSpan(args[0])
			return err
		},
		RunE: doing(func(cmd *cobra.Command, args []string) error {
			span, err := dev.ParseSpan(args[0])
			if err != nil {
				return err
			}
			var done admin.Advanced
			if err := r.call(cmd, http.MethodPost, admin.PathAdvance, admin.Advance{Seconds: int64(span / time.Second)}, &done); err != nil {
				return err
			}
			if r.json {
				return printJSON(cmd.OutOrStdout(), done)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "It is %s now. Keys deleted: %d. Orphans: %d. Keys rotated: %d. Imported materials expired: %d.\n",
				stamp(done.Now), done.Deleted, done.Orphaned, done.Rotated, done.Expired)
			return nil
		}),
	}
	r.flags(cmd)
	return cmd
}

func newDevHold(short, path, done string) *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use: "transitions", Short: short, Args: cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			if err := r.call(cmd, http.MethodPost, path, admin.Empty{}, nil); err != nil {
				return err
			}
			if r.json {
				return printJSON(cmd.OutOrStdout(), map[string]string{"transitions": done})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Transitions are %s.\n", done)
			return nil
		}),
	}
	r.flags(cmd)
	return cmd
}
