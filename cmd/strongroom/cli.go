package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// Exit codes of every command.
const (
	exitOK     = 0
	exitFailed = 1 // refused or failed
	exitUsage  = 2
	exitPIN    = 3 // serve: a token did not take its PIN, and the next start would try it again
)

// failure is an error of a command that was called as it should be.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// refusedPIN is the failure of a start that must not be repeated before somebody saw to it: a token locks a PIN that was wrong
// a few times.
type refusedPIN struct{ error }

func (r refusedPIN) Unwrap() error { return r.error }

// mistake is a mistake in the command line that shows only when the command is run.
type mistake struct{ error }

func (m mistake) Unwrap() error { return m.error }

// mistaken makes a mistake.
func mistaken(format string, args ...any) error { return mistake{fmt.Errorf(format, args...)} }

// run executes a command line and gives its exit code. Every error is one clear line (or one a problem) on stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	out := &output{w: stdout}
	root.SetOut(out)
	root.SetErr(stderr)
	root.InitDefaultCompletionCmd()
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		c.RunE = group("completion", "").RunE
	}
	called, err := root.ExecuteContextC(ctx)
	if err == nil && out.err != nil { // what was to be said did not arrive, as on a full disk
		err = failure{out.err}
	}
	if err == nil {
		return exitOK
	}
	var f failure
	if errors.As(err, &f) {
		if msg := f.Error(); msg != "" {
			for _, line := range strings.Split(msg, "\n") {
				fmt.Fprintln(stderr, "strongroom: "+line)
			}
		}
		if pin := (refusedPIN{}); errors.As(err, &pin) {
			return exitPIN
		}
		return exitFailed
	}
	fmt.Fprintf(stderr, "strongroom: %s; see %s --help\n", strings.TrimSpace(strings.SplitN(err.Error(), "\n", 2)[0]), called.CommandPath())
	return exitUsage
}

// output is standard output, with the first failure to write to it.
type output struct {
	w   io.Writer
	err error
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "strongroom",
		Short: "A key appliance with the AWS KMS API, whose keys never leave an HSM",
		Long: "Strongroom speaks the AWS KMS API. Behind it every key lives on a PKCS#11 token.\n\n" +
			"Try it with `strongroom dev`; run it with `strongroom init` and `strongroom serve`.\n\n" +
			"Exit codes: 0, 1 for refused or failed, 2 for a mistake in the command line; of serve, 3 where a token\n" +
			"did not take its PIN: do not start it again before that is seen to.",
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknown(cmd, args[0])
			}
			return nil
		},
	}
	root.SetVersionTemplate("strongroom {{.Version}}\n")
	root.AddCommand(
		newDev(), newInit(), newServe(), newCheck(), newStatus(), newOrphans(), newPrincipals(), newAccess(), newXKS(), newToken(), newAudit(),
		newBackup(), newRestore(), newBench(), newVersion(),
	)
	return root
}

// group is a command that only has subcommands.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknown(cmd, args[0])
			}
			return fmt.Errorf("%s needs a subcommand: %s", cmd.CommandPath(), names(cmd))
		},
	}
	c.AddCommand(subs...)
	return c
}

// unknown is the error of a command that there is none of, with those that may have been meant.
func unknown(cmd *cobra.Command, name string) error {
	cmd.SuggestionsMinimumDistance = 2
	meant := ""
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		meant = " (did you mean " + strings.Join(near, " or ") + "?)"
	}
	return fmt.Errorf("unknown command %q for %q%s", name, cmd.CommandPath(), meant)
}

func names(cmd *cobra.Command) string {
	var all []string
	for _, s := range cmd.Commands() {
		all = append(all, s.Name())
	}
	return strings.Join(all, ", ")
}

// doing makes the RunE of a command: what fn returns is a failure, not a mistake in the command line, unless it says so.
func doing(fn func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := fn(cmd, args)
		if m := (mistake{}); err == nil || errors.As(err, &m) {
			return err
		}
		return failure{err}
	}
}

// printJSON writes v for programs.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// table writes rows for people; the first is the heading. Cells that are empty show a dash.
func table(w io.Writer, rows ...[]string) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if cell == "" {
				cell = "-"
			}
			if i > 0 {
				fmt.Fprint(tw, "\t")
			}
			fmt.Fprint(tw, cell)
		}
		fmt.Fprintln(tw)
	}
	return tw.Flush()
}

// fields writes name and value pairs for people, those without a value left out.
func fields(w io.Writer, pairs ...string) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(tw, "%s\t%s\n", pairs[i], pairs[i+1])
		}
	}
	return tw.Flush()
}

// stamp shows a time to people; nothing for the zero time.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}
