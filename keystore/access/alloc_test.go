//go:build !race

package access_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The race detector makes pools forget at random, so this test is not for it.
func TestAdmitAllocatesNothing(t *testing.T) {
	g := gate()
	for name, r := range requests() {
		t.Run(name, func(t *testing.T) {
			got := testing.AllocsPerRun(100, func() {
				if err := g.Admit(context.Background(), r); err != nil {
					t.Error(err)
				}
			})
			assert.Zero(t, got)
		})
	}
}
