package main

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/cmd/strongroom/admin"
	"github.com/strongroom/strongroom/keystore/lifecycle"
)

// TestTokenFailsWhileKeysAreDestroyed takes the token away at each point of a key's destruction: the key goes on its day, what
// may be left of it is an orphan with the token's own word for the reason, and nothing else fails once the token is back.
func TestTokenFailsWhileKeysAreDestroyed(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, fault, reason string
		orphans             int
	}{
		{"destroying fails", "fail C_DestroyObject 0x30", "CKR_DEVICE_ERROR", 1},
		{"destroying works and says that it failed", "fail C_DestroyObject 0x30 done", "", 0}, // a second look finds nothing
		{"searching fails", "fail C_FindObjectsInit 0x30", "CKR_DEVICE_ERROR", 1},
		{"the token is gone", "gone", "", 1},
		{"the token is gone and shows nothing", "gone-quietly", "", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			r := newRig(t)
			control := shim(t, r)
			r.start()
			doomed, err := r.kms.CreateKey(ctx, &kms.CreateKeyInput{})
			require.NoError(t, err)
			kept, err := r.kms.CreateKey(ctx, &kms.CreateKeyInput{})
			require.NoError(t, err)
			_, err = r.kms.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: doomed.KeyMetadata.KeyId, PendingWindowInDays: aws.Int32(7)})
			require.NoError(t, err)

			require.NoError(t, os.WriteFile(control, []byte(tc.fault+"\n"), 0o600))
			require.NoError(t, r.advance(ctx, 8*24*time.Hour))
			require.NoError(t, os.Remove(control))

			_, err = r.kms.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: doomed.KeyMetadata.KeyId})
			assert.ErrorAs(t, err, new(*types.NotFoundException), "the key is gone")
			require.Eventually(t, func() bool {
				_, err := r.kms.Encrypt(ctx, &kms.EncryptInput{KeyId: kept.KeyMetadata.KeyId, Plaintext: []byte("a")})
				return err == nil
			}, time.Minute, 20*time.Millisecond, "the other key works when the token is back")

			var orphans []lifecycle.Orphan
			require.NoError(t, r.admin.Call(ctx, http.MethodGet, admin.PathOrphans, nil, &orphans))
			require.Len(t, orphans, tc.orphans)
			for _, o := range orphans {
				assert.Equal(t, *doomed.KeyMetadata.Arn, o.KeyARN)
				assert.NotEmpty(t, o.Reason)
				assert.Contains(t, o.Reason, tc.reason)
				// A person destroys it.
				var gone lifecycle.Orphan
				require.NoError(t, r.admin.Call(ctx, http.MethodPost, admin.PathOrphans+"/"+o.ID+"/destroy", admin.Empty{}, &gone))
				assert.Equal(t, "destroyed", string(gone.State))
			}
			r.honest(ctx)
			r.shutdown()
			witness(t, r.dir)
		})
	}
}

// TestFigures looks at what monitoring sees.
func TestFigures(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := newRig(t)
	r.start()
	key, err := r.kms.CreateKey(ctx, &kms.CreateKeyInput{})
	require.NoError(t, err)
	_, err = r.kms.Encrypt(ctx, &kms.EncryptInput{KeyId: key.KeyMetadata.KeyId, Plaintext: []byte("a")})
	require.NoError(t, err)
	_, err = r.kms.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: key.KeyMetadata.KeyId})
	require.NoError(t, err)
	_, err = r.kms.Encrypt(ctx, &kms.EncryptInput{KeyId: key.KeyMetadata.KeyId, Plaintext: []byte("a")})
	require.Error(t, err)

	get := func(path string) (int, string) {
		resp, err := http.Get(r.vars["STRONGROOM_ADMIN_URL"] + path)
		require.NoError(t, err)
		defer resp.Body.Close()
		var b strings.Builder
		require.NoError(t, resp.Write(&b))
		return resp.StatusCode, b.String()
	}
	status, _ := get("/healthz")
	assert.Equal(t, http.StatusOK, status)
	require.Eventually(t, func() bool { // a busy machine may be too slow for it once
		status, _ = get("/readyz")
		return status == http.StatusOK
	}, time.Minute, 50*time.Millisecond)
	status, _ = get("/nothing")
	assert.Equal(t, http.StatusNotFound, status)
	_, text := get("/metrics")
	for _, want := range []string{
		`strongroom_requests_total{exception="",operation="Encrypt"} 1`,
		`strongroom_requests_total{exception="KMSInvalidStateException",operation="Encrypt"} 1`,
		`strongroom_request_seconds_count{operation="Encrypt"} 2`,
		`strongroom_keys{state="PendingDeletion"} 1`,
		`strongroom_material{state="live"} 2`, // and the vault's key
		`strongroom_orphans 0`,
		`strongroom_pending_deletion_use_total 1`,
		`strongroom_sweeper_lag_seconds 0`,
		`strongroom_token_healthy{serial=`,
		`strongroom_token_sessions{serial=`,
		`strongroom_token_seconds_count{function="C_Encrypt"`,
	} {
		assert.Contains(t, text, want)
	}
	r.shutdown()
}
