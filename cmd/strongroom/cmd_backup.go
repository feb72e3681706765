package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/cmd/strongroom/admin"
	"github.com/strongroom/strongroom/cmd/strongroom/appliance"
	"github.com/strongroom/strongroom/cmd/strongroom/config"
)

func newBackup() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the running appliance's database to a new file",
		Long: "Copy the running appliance's database, as it is at one instant, to a new file that only the appliance's user can\n" +
			"read. Keys are not in it: they are on the tokens, which are backed up by their vendor's means.",
		Args: cobra.ExactArgs(1),
		RunE: doing(func(cmd *cobra.Command, args []string) error {
			path, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			var done admin.BackedUp
			if err := r.call(cmd, http.MethodPost, admin.PathBackup, admin.Backup{Path: path}, &done); err != nil {
				return err
			}
			if r.json {
				return printJSON(cmd.OutOrStdout(), done)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "The database is in %s (%d bytes). Keep with it:\n  the audit log   %s\n  the tokens      %s\n",
				done.Path, done.Bytes, done.AuditDir, strings.Join(done.Tokens, ", "))
			return nil
		}),
	}
	r.flags(cmd)
	return cmd
}

func newRestore() *cobra.Command {
	var path, dir string
	cmd := &cobra.Command{
		Use:   "restore FILE --config FILE",
		Short: "Put a backup in the place of a database that is gone; overwrites nothing",
		Long: "Put a backup of strongroom backup in the place of the database of an appliance that does not run. A database that is\n" +
			"there must be moved away first. The backup is checked before it takes the place.",
		Args: cobra.ExactArgs(1),
		RunE: doing(func(cmd *cobra.Command, args []string) error {
			syscall.Umask(0o077)
			place := appliance.Place{DataDir: dir, Database: filepath.Join(dir, "strongroom.db")}
			if path != "" {
				c, err := config.Load(path)
				if err != nil {
					return err
				}
				place = appliance.Place{DataDir: c.DataDir, Database: c.Database.Path}
			}
			if err := appliance.Restore(cmd.Context(), place, args[0]); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Restored %s. Start the appliance, and let strongroom orphans scan show what does not fit its tokens.\n", place.Database)
			return nil
		}),
	}
	cmd.Flags().StringVar(&path, "config", "", "configuration of the appliance")
	cmd.Flags().StringVar(&dir, "dir", "", "directory of strongroom dev")
	cmd.MarkFlagsOneRequired("config", "dir")
	cmd.MarkFlagsMutuallyExclusive("config", "dir")
	return cmd
}
