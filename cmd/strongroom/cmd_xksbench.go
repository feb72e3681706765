package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/cmd/strongroom/xksbench"
	"github.com/strongroom/strongroom/xks"
)

func newXKSBench() *cobra.Command {
	var t proxyTarget
	var o xksbench.Options
	var rate float64
	var ramp, idsFrom string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "bench https://HOST[/PREFIX/kms/xks/v1] --credential-file FILE --key-id ID",
		Short: "Load any XKS proxy at a steady or a rising rate",
		Long: "Send signed calls to an external key store proxy, anybody's, at a rate that does not wait for answers, and judge the\n" +
			"answers by the 250 ms that KMS waits. A rate is held if 99.9 % of calls are answered well within them. With --ramp the\n" +
			"rate rises in steps until one is not held. KMS sends at most 1 800 calls a second to a store by default.\n\n" +
			"It really loads the proxy and the keys behind it. It ends by itself: after the duration of each step, and early on a\n" +
			"proxy that fails every call. Exit code: 0 held, 1 a rate up to 1 800 a second (or the single one) not held, 2 usage.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := t.open(args[0])
			if err != nil {
				return err
			}
			o.Endpoint, o.URIPath, o.Credential, o.Region, o.KeyIDs, o.RootCAs = p.endpoint, p.uriPath, p.credential, t.region, []string{t.keyID}, p.roots
			if idsFrom != "" {
				if o.KeyIDs, err = readKeyIDs(idsFrom); err != nil {
					return err
				}
			}
			o.Certificate = p.client
			if o.Rates, err = rates(rate, ramp); err != nil {
				return err
			}
			if err := o.Validate(); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			var progress func(xksbench.Step)
			if !asJSON {
				fmt.Fprintf(out, "XKS proxy %s%s, %s, %d bytes; keys: %d, connections: %d\n", o.Endpoint, o.URIPath, o.Operation, o.Size, len(o.KeyIDs), o.Connections)
				progress = func(s xksbench.Step) { showStep(out, &s) }
			}
			report, err := xksbench.Run(cmd.Context(), o, progress)
			if err != nil {
				return failure{err}
			}
			if asJSON {
				err = printJSON(out, report)
			} else {
				showVerdict(out, report)
			}
			if err == nil && !report.OK() {
				err = errors.New("")
			}
			if err != nil {
				return failure{err}
			}
			return nil
		},
	}
	t.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&idsFrom, "key-ids-from", "", "file with external key ids, one a line, to be used in turn instead of one key")
	f.StringVar(&o.Operation, "operation", xksbench.Encrypt, "encrypt, decrypt, both, or datakey (encrypt with an integrity value)")
	f.IntVar(&o.Size, "size", 128, "bytes of plaintext")
	f.Float64Var(&rate, "rate", xksbench.QuotaRate, "calls a second")
	f.StringVar(&ramp, "ramp", "", "FROM:TO:STEPS instead of one rate, as 200:3000:8")
	f.DurationVar(&o.Duration, "duration", 10*time.Second, "how long each rate is kept up")
	f.IntVar(&o.Connections, "connections", 64, "connections, and so calls at a time")
	f.BoolVar(&asJSON, "json", false, "print JSON for programs")
	cmd.MarkFlagsMutuallyExclusive("rate", "ramp")
	cmd.MarkFlagsMutuallyExclusive("key-id", "key-ids-from")
	cmd.MarkFlagsOneRequired("key-id", "key-ids-from")
	return cmd
}

// maxKeyFile bounds a file of ids: as many as can be used, of the longest.
const maxKeyFile = xksbench.MaxKeys * (xks.MaxKeyID + 1)

// readKeyIDs reads external key ids, one a line.
func readKeyIDs(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("%s is too long for a file of key ids", path)
	}
	return strings.Fields(string(text)), nil
}

// rates reads what rates are asked for.
func rates(rate float64, ramp string) ([]float64, error) {
	if ramp == "" {
		return []float64{rate}, nil
	}
	bad := fmt.Errorf("--ramp %s: want FROM:TO:STEPS, as 200:3000:8, with 2 to %d steps", ramp, xksbench.MaxSteps)
	parts := strings.Split(ramp, ":")
	if len(parts) != 3 {
		return nil, bad
	}
	from, err1 := strconv.ParseFloat(parts[0], 64)
	to, err2 := strconv.ParseFloat(parts[1], 64)
	steps, err3 := strconv.Atoi(parts[2])
	if err1 != nil || err2 != nil || err3 != nil || !(from >= 1) || !(to > from) || steps < 2 || steps > xksbench.MaxSteps {
		return nil, bad
	}
	all := make([]float64, steps)
	for i := range all {
		all[i] = from + (to-from)*float64(i)/float64(steps-1)
	}
	return all, nil
}

// showStep prints a rate with its latency histogram.
func showStep(out io.Writer, s *xksbench.Step) {
	verdict := "holds"
	if !s.Holds {
		verdict = "does not hold: " + s.Reason
	}
	fmt.Fprintf(out, "\n%.0f calls a second: %s\n", s.Rate, verdict)
	fmt.Fprintf(out, "  %d calls, %d answered well in time (%.0f a second), %d late, %d not sent\n", s.Calls, s.Good, s.PerSecond, s.Late, s.Unsent)
	for _, name := range slices.Sorted(maps.Keys(s.Errors)) {
		fmt.Fprintf(out, "  %d failed: %s\n", s.Errors[name], name)
	}
	if s.Good+s.Late == 0 {
		return
	}
	fmt.Fprintf(out, "  p50 %.1f ms, p99 %.1f ms, p99.9 %.1f ms, longest %.1f ms\n", s.P50, s.P99, s.P999, s.Max)
	most := uint64(1)
	for _, b := range s.Histogram {
		most = max(most, b.Calls)
	}
	for i, b := range s.Histogram {
		if b.Calls == 0 {
			continue
		}
		label := fmt.Sprintf("up to %4.0f ms", b.UpToMS)
		if i == len(s.Histogram)-1 {
			label = "       longer"
		}
		fmt.Fprintf(out, "  %s  %8d  %s\n", label, b.Calls, strings.Repeat("#", int((b.Calls*40+most-1)/most)))
	}
}

func showVerdict(out io.Writer, r *xksbench.Report) {
	fmt.Fprintf(out, "\nHighest rate held: %.0f calls a second. KMS's default quota of %d: ", r.Highest, xksbench.QuotaRate)
	switch r.Quota {
	case "yes":
		fmt.Fprintln(out, "the proxy holds it.")
	case "no":
		fmt.Fprintln(out, "the proxy does not hold it.")
	default:
		fmt.Fprintln(out, "not tested.")
	}
}
