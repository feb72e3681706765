package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/cmd/strongroom/admin"
	"github.com/strongroom/strongroom/cmd/strongroom/config"
)

// Places where an appliance is looked for when the command line and the environment name none.
const (
	localDir  = ".strongroom" // where `make run` keeps its appliance
	systemDir = "/var/lib/strongroom"
)

// remote is the flags of a command that speaks to the running appliance.
type remote struct {
	dir, socket, config string
	json                bool
}

func (r *remote) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&r.dir, "dir", "", "data directory of the appliance (default: $STRONGROOM_DIR, .strongroom, or /var/lib/strongroom)")
	f.StringVar(&r.socket, "socket", "", "admin socket of the appliance (default: $STRONGROOM_ADMIN_SOCKET, or admin.sock in its data directory)")
	f.StringVar(&r.config, "config", "", "configuration of the appliance")
	f.BoolVar(&r.json, "json", false, "print JSON for programs")
	cmd.MarkFlagsMutuallyExclusive("dir", "socket", "config")
}

// client finds the appliance: by flag, by the variables of dev.env, in the working directory, at last in the place of a
// system service.
func (r *remote) client() (*admin.Client, error) {
	switch {
	case r.socket != "":
		return admin.NewClient(r.socket), nil
	case r.dir != "":
		return admin.NewClient(filepath.Join(r.dir, "admin.sock")), nil
	case r.config != "":
		c, err := config.Load(r.config)
		if err != nil {
			return nil, err
		}
		return admin.NewClient(c.AdminSocket()), nil
	}
	if s := os.Getenv("STRONGROOM_ADMIN_SOCKET"); s != "" {
		return admin.NewClient(s), nil
	}
	if d := os.Getenv("STRONGROOM_DIR"); d != "" {
		return admin.NewClient(filepath.Join(d, "admin.sock")), nil
	}
	local := filepath.Join(localDir, "admin.sock")
	if _, err := os.Stat(local); !errors.Is(err, fs.ErrNotExist) {
		return admin.NewClient(local), nil
	}
	return admin.NewClient(filepath.Join(systemDir, "admin.sock")), nil
}

// call makes one call to the appliance.
func (r *remote) call(cmd *cobra.Command, method, path string, in, out any) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Call(cmd.Context(), method, path, in, out)
}
