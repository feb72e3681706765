package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/cmd/strongroom/appliance"
	"github.com/strongroom/strongroom/cmd/strongroom/config"
	"github.com/strongroom/strongroom/cmd/strongroom/principals"
	"github.com/strongroom/strongroom/hsm"
)

// configFlag adds --config, which the command needs.
func configFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "config", "", "configuration file")
	must(cmd.MarkFlagRequired("config"))
}

func newServe() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Run the appliance",
		Args:  cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			syscall.Umask(0o077)
			c, err := config.Load(path)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), c, cmd.ErrOrStderr())
		}),
	}
	configFlag(cmd, &path)
	return cmd
}

func serve(ctx context.Context, c *config.Config, errOut io.Writer) (err error) {
	if err := appliance.OwnerOnly(c.DataDir); err != nil {
		return err
	}
	log := newLogger(errOut, c.Log)
	starting, started := unhurried(ctx)
	defer started()
	a, err := appliance.Open(starting, appliance.Options{Config: c, Logger: log, Version: version()})
	for _, pin := range []hsm.Class{hsm.PINIncorrect, hsm.PINLocked, hsm.PINExpired, hsm.PINNotSet} {
		if errors.Is(err, pin) {
			return refusedPIN{err}
		}
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	return serveUntil(ctx, a, func() error {
		log.Info("ready", "kms", a.Addr("kms"), "regions", c.Regions, "version", version())
		return appliance.Notify("READY=1")
	})
}

func newInit() *cobra.Command {
	var path, credentials string
	cmd := &cobra.Command{
		Use:   "init --config FILE",
		Short: "Create database, vault key and root credential; never overwrites",
		Long: "Create what the appliance needs before it can run: the data directory, the database, the key that seals secrets\n" +
			"on the token of the first Region, and the account root with an access key. The secret of that access key is written\n" +
			"once, to a file that only its owner can read.",
		Args: cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			syscall.Umask(0o077)
			c, err := config.Load(path)
			if err != nil {
				return err
			}
			if credentials == "" {
				credentials = filepath.Join(c.DataDir, "root-credential.env")
			}
			if err := initialise(cmd.Context(), c, credentials, cmd.ErrOrStderr()); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Initialised %s.\nThe credential of the account root is in %s; keep it safe and delete the file.\n", c.DataDir, credentials)
			return nil
		}),
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&credentials, "credentials", "", "where to write the root credential (default: root-credential.env in the data directory)")
	return cmd
}

func initialise(ctx context.Context, c *config.Config, credentials string, errOut io.Writer) (err error) {
	if err := canWriteNew(credentials, c); err != nil {
		return err
	}
	if err := appliance.KeepToOwner(c.DataDir); err != nil {
		return err
	}
	ctx, done := unhurried(ctx)
	defer done()
	a, err := appliance.Open(ctx, appliance.Options{Config: c, Logger: newLogger(errOut, c.Log), Version: version(), Create: true, Fresh: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	root, err := a.RootKey(ctx)
	if err == nil {
		err = writeCredential(credentials, root)
	}
	if err != nil {
		return fmt.Errorf("the appliance is initialised, but its root credential could not be written: %w; "+
			"start it, and make another one with strongroom principals create-key root", err)
	}
	return nil
}

// canWriteNew finds out before anything is made whether the credential will have a place. What is initialised already says
// so by itself.
func canWriteNew(credentials string, c *config.Config) error {
	if _, err := os.Stat(c.Database.Path); err == nil {
		return nil
	}
	if _, err := os.Lstat(credentials); err == nil {
		return fmt.Errorf("%s is there already; move it away, or name another file with --credentials", credentials)
	}
	parent := filepath.Dir(credentials)
	if info, err := os.Stat(parent); parent != filepath.Clean(c.DataDir) && (err != nil || !info.IsDir()) {
		return fmt.Errorf("%s is no directory; name a file with --credentials in one that is there", parent)
	}
	return nil
}

func writeCredential(path string, key principals.NewKey) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "export AWS_ACCESS_KEY_ID='%s'\nexport AWS_SECRET_ACCESS_KEY='%s'\n", key.AccessKeyID, key.Secret)
	return errors.Join(err, f.Sync(), f.Close())
}

func newCheck() *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Say everything that is wrong with a configuration",
		Long: "Say everything that is wrong with a configuration: what it says, whether the files it names are there and readable by\n" +
			"the right people, whether the modules load and the tokens are in them. It logs in to no token.",
		Args: cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(path)
			var bad *config.Invalid
			if err != nil && !errors.As(err, &bad) {
				return err
			}
			var problems []config.Problem
			if bad != nil {
				problems = bad.Problems
			}
			if c != nil {
				problems = append(problems, appliance.Check(cmd.Context(), c)...)
			}
			if asJSON {
				if err := printProblems(cmd.OutOrStdout(), problems); err != nil {
					return err
				}
			}
			switch {
			case len(problems) > 0 && asJSON:
				return errors.New("")
			case len(problems) > 0:
				return &config.Invalid{Path: path, Problems: problems}
			case !asJSON:
				fmt.Fprintf(cmd.OutOrStdout(), "%s: nothing is wrong.\n", path)
			}
			return nil
		}),
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON for programs")
	return cmd
}

func printProblems(w io.Writer, problems []config.Problem) error {
	type row struct {
		Field   string `json:"field"`
		Line    int    `json:"line,omitempty"`
		Message string `json:"message"`
	}
	rows := make([]row, len(problems))
	for i, p := range problems {
		rows[i] = row(p)
	}
	return printJSON(w, rows)
}

func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show the version, Go's and the modules'",
		Args:  cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			info, _ := debug.ReadBuildInfo()
			modules := map[string]string{}
			if info != nil {
				for _, d := range info.Deps {
					modules[d.Path] = d.Version
				}
			}
			out := cmd.OutOrStdout()
			if asJSON {
				return printJSON(out, map[string]any{"version": version(), "go": runtime.Version(), "modules": modules})
			}
			fmt.Fprintf(out, "strongroom %s, %s\n", version(), runtime.Version())
			var lines []string
			for path, v := range modules {
				lines = append(lines, "  "+path+" "+v)
			}
			slices.Sort(lines)
			fmt.Fprintln(out, strings.Join(lines, "\n"))
			return nil
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON for programs")
	return cmd
}

// version is what the module was built as: a release's tag, or the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}

// newLogger makes the log on standard error.
func newLogger(w io.Writer, l config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		level = slog.LevelInfo
	}
	opts := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
