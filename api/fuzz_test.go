package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api"
	"github.com/strongroom/strongroom/api/sigv4"
)

// FuzzRequest sends signed bodies of any kind to any operation of a whole appliance: the answer is AWS JSON, and never a
// fault of the appliance.
func FuzzRequest(f *testing.F) {
	a := start(f)
	id, arn := a.newKey(f)
	rows := api.Rows()
	for _, body := range []string{
		`{}`, `{"KeyId":"` + id + `","Plaintext":"AAAA","EncryptionContext":{"a":"b"}}`, `{"KeyId":"` + arn + `","NumberOfBytes":16}`,
		`{"CiphertextBlob":"U1IB"}`, `{"AliasName":"alias/a","TargetKeyId":"` + id + `"}`, `{"KeyId":"` + id + `","Tags":[{"TagKey":"a","TagValue":"b"}]}`,
		`{"KeyId":"` + id + `","PendingWindowInDays":7}`, `{"KeyId":"` + id + `","Policy":"{\"Statement\":[]}"}`, `{"Limit":1,"Marker":"a"}`,
		`{"CustomKeyStoreName":"n","CloudHsmClusterId":"` + clusterID + `","KeyStorePassword":"kmsuser1","TrustAnchorCertificate":"x"}`,
		`{"Origin":"AWS_CLOUDHSM","CustomKeyStoreId":"cks-1"}`, `{"KeySpec":"RSA_2048","KeyUsage":"SIGN_VERIFY"}`,
	} {
		for n := range rows {
			f.Add(uint(n), body)
		}
	}
	cred := sigv4.Credential{AccessKeyID: a.root.AccessKeyID, Secret: []byte(a.root.Secret)}
	f.Fuzz(func(t *testing.T, n uint, body string) {
		row := rows[n%uint(len(rows))]
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("X-Amz-Target", "TrentService."+string(row.Name))
		sigv4.SignRequest(r, []byte(body), cred, region, "kms", time.Now())
		w := httptest.NewRecorder()
		a.server.ServeHTTP(w, r)
		require.Contains(t, []int{200, 400, 413}, w.Code, "%s %q: %s", row.Name, body, w.Body)
		if w.Code != http.StatusOK || !row.NoOutput {
			require.True(t, json.Valid(w.Body.Bytes()), w.Body.String())
		}
	})
}
