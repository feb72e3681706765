// Package apitest is what tests that talk to the appliance by the AWS SDK share.
package apitest

import (
	"bytes"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// SendWhole is an option of kms.New for clients that do not retry. What they would have to retry is a fault of the SDK: it
// closes a request's body when the head of the answer has come, and net/http, where it only then looks whether the body has
// more than was announced, takes the io.EOF of smithy-go's WriteTo for a failure and closes the connection. Of an answer that
// had not come whole by then, one in some ten thousand, the rest is lost: "use of closed network connection".
func SendWhole(o *kms.Options) { o.HTTPClient = wholeSender{o.HTTPClient} }

// wholeSender sends bodies that the SDK cannot close under way.
type wholeSender struct{ next kms.HTTPClient }

// Do implements kms.HTTPClient.
func (s wholeSender) Do(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		return s.next.Do(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if err := r.Body.Close(); err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	return s.next.Do(r)
}
