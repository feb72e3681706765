package state_test

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/state"
)

func TestMigrationFiles(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		want  string // part of the error; "" is none
	}{
		"in order":          {[]string{"0002_b.sql", "0001_a.sql"}, ""},
		"a gap":             {[]string{"0001_a.sql", "0003_c.sql"}, "0003_c.sql: number 2 is expected"},
		"a number twice":    {[]string{"0001_a.sql", "0001_b.sql"}, "0001_b.sql: number 2 is expected"},
		"from zero":         {[]string{"0000_a.sql"}, "number 1 is expected"},
		"no number":         {[]string{"first.sql"}, "NNNN_name.sql"},
		"a short number":    {[]string{"1_a.sql"}, "NNNN_name.sql"},
		"another extension": {[]string{"0001_a.txt"}, "NNNN_name.sql"},
	} {
		t.Run(name, func(t *testing.T) {
			files := fstest.MapFS{}
			for _, f := range c.files {
				files["m/"+f] = &fstest.MapFile{Data: []byte("-- " + f)}
			}
			steps, err := state.Migrations(files, "m")
			if c.want != "" {
				require.ErrorContains(t, err, c.want)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, []state.Migration{
				{Number: 1, Name: "0001_a.sql", SQL: "-- 0001_a.sql"}, {Number: 2, Name: "0002_b.sql", SQL: "-- 0002_b.sql"},
			}, steps)
		})
	}
}
