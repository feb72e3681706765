package lifecycle_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/lifecycle"
)

// A setting that changes while new material is being made counts: the material goes, and nothing rotates for ever after.
func TestRotationTurnedOffWhileItHappens(t *testing.T) {
	for name, change := range map[string]func(w *world, id string) error{
		"turned off": func(w *world, id string) error { return w.DisableKeyRotation(t.Context(), w.root, id) },
		"put off":    func(w *world, id string) error { return w.EnableKeyRotation(t.Context(), w.root, id, 365) },
	} {
		t.Run(name, func(t *testing.T) {
			var w *world
			armed := ""
			w = newWorld(t, func(c *lifecycle.Config) {
				c.Hook = func(step string) {
					if step == lifecycle.StepRotateGenerated && armed != "" {
						id := armed
						armed = ""
						require.NoError(t, change(w, id))
					}
				}
			})
			k := w.create(lifecycle.CreateKeyInput{})
			require.NoError(t, w.EnableKeyRotation(t.Context(), w.root, string(k.ID), 90))
			w.clock.advance(days(90))
			armed = string(k.ID)
			assert.Zero(t, w.rotate())
			assert.Len(t, w.token.List(), 1)
			_, list, _, err := w.ListKeyRotations(t.Context(), w.root, string(k.ID), false, keystore.Page{})
			require.NoError(t, err)
			assert.Empty(t, list)
			assert.Zero(t, w.rotate())
		})
	}
}
