package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/strongroom/strongroom/cmd/strongroom/appliance"
	"github.com/strongroom/strongroom/cmd/strongroom/bench"
	"github.com/strongroom/strongroom/cmd/strongroom/dev"
)

func newBench() *cobra.Command {
	var o bench.Options
	var module string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the hot paths of a throw-away appliance against its token's own speed",
		Long: "Start a throw-away appliance on SoftHSM2 in this process, and measure whole calls against the token's own calls and\n" +
			"against a bare net/http answer to the same requests. Client and servers share this machine's processors.",
		Args: cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			if o.Concurrency < 1 || o.Duration <= 0 {
				return mistaken("--concurrency and --duration must be more than nothing")
			}
			r, err := runBench(cmd.Context(), o, module)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), r)
			}
			return showBench(cmd, r)
		}),
	}
	f := cmd.Flags()
	f.DurationVar(&o.Duration, "duration", 3*time.Second, "how long each row is measured")
	f.IntVar(&o.Concurrency, "concurrency", 8, "calls at a time")
	f.StringVar(&module, "module", "", "SoftHSM2's library (default: looked for)")
	f.BoolVar(&asJSON, "json", false, "print JSON for programs")
	return cmd
}

// runBench runs an appliance in a temporary directory for as long as it is measured.
func runBench(ctx context.Context, o bench.Options, module string) (report *bench.Report, err error) {
	syscall.Umask(0o077)
	dir, err := os.MkdirTemp("", "strongroom-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	const anyPort = "127.0.0.1:0"
	setup, err := dev.Prepare(ctx, dev.Options{Dir: dir, KMSAddr: anyPort, XKSAddr: anyPort, AdminAddr: anyPort,
		Regions: []string{"us-east-1"}, Account: "000000000000", Module: module})
	if err != nil {
		return nil, err
	}
	a, err := appliance.Open(ctx, appliance.Options{Config: setup.Config, Logger: newLogger(os.Stderr, setup.Config.Log), Version: version(), Create: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	root, err := a.RootKey(ctx)
	if err != nil {
		return nil, err
	}
	o.Region, o.AccessKeyID, o.Secret = "us-east-1", root.AccessKeyID, root.Secret
	o.Token = a.DefaultToken("us-east-1")

	running, stop := context.WithCancel(ctx)
	defer stop()
	ready := make(chan struct{})
	var group errgroup.Group
	group.Go(func() error {
		return a.Serve(running, func() error { close(ready); return nil })
	})
	group.Go(func() error {
		defer stop()
		select {
		case <-ready:
		case <-running.Done():
			return nil
		}
		o.Endpoint = "http://" + a.Addr("kms")
		var err error
		report, err = bench.Run(ctx, o)
		return err
	})
	return report, group.Wait()
}

func showBench(cmd *cobra.Command, r *bench.Report) error {
	rows := [][]string{{"", "A SECOND", "P50 µs", "P99 µs", "P99.9 µs", "OF BARE", "OF TOKEN"}}
	part := func(v float64) string {
		if v == 0 {
			return ""
		}
		return fmt.Sprintf("%.2f", v)
	}
	for _, x := range r.Results {
		rows = append(rows, []string{x.Name, fmt.Sprintf("%.0f", x.PerSecond), fmt.Sprintf("%.0f", x.P50), fmt.Sprintf("%.0f", x.P99),
			fmt.Sprintf("%.0f", x.P999), part(x.OfBare), part(x.OfToken)})
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%d calls at a time, %g seconds each, client and servers on the same processors\n\n", r.Concurrency, r.Seconds)
	return table(cmd.OutOrStdout(), rows...)
}
