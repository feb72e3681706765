package backendtest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/backend/backendtest"
)

func TestMemoryPassesTheSuite(t *testing.T) {
	backendtest.Run(t, func(testing.TB) backend.Backend { return backendtest.NewMemory("1") })
}

func TestMemoryFailsAsItIsTold(t *testing.T) {
	m, h := backendtest.NewMemory("1"), backendtest.NewHandle(t)
	m.Fail(backendtest.Create, 1, backendtest.Lost())
	_, err := m.CreateKey(t.Context(), h)
	require.ErrorContains(t, err, "CKR_DEVICE_REMOVED")
	assert.Empty(t, m.List())
	m.FailAfter(backendtest.Create, 1, backendtest.Lost())
	_, err = m.CreateKey(t.Context(), h)
	require.Error(t, err)
	assert.Len(t, m.List(), 1)
	m.Down(backendtest.Lost())
	_, err = m.Find(t.Context(), h)
	require.Error(t, err)
	m.Mend()
	found, err := m.Find(t.Context(), h)
	require.NoError(t, err)
	assert.Len(t, found, 1)
	assert.Equal(t, 2, m.Count(backendtest.Create))
}
