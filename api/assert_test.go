package api_test

import (
	"errors"
	"testing"

	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// isException asserts that the SDK was answered with an exception and its message; "*" is any.
func isException(t *testing.T, err error, name, message string) {
	t.Helper()
	var e smithy.APIError
	require.ErrorAs(t, err, &e)
	agrees(t, e.ErrorCode(), e.ErrorMessage(), name, message)
	var op *smithy.OperationError
	assert.True(t, errors.As(err, &op))
}

func agrees(t *testing.T, gotName, gotMessage, name, message string) {
	t.Helper()
	if name != "*" {
		assert.Equal(t, name, gotName)
	}
	if message != "*" {
		assert.Equal(t, message, gotMessage)
	}
}
