package access_test

import (
	"context"
	"testing"

	"github.com/strongroom/strongroom/keystore/access"
)

// requests are those of the hot path.
func requests() map[string]*access.Request {
	def := access.DefaultPolicy(account)
	k := key(def)
	narrow := own("Allow", `["kms:Decrypt","kms:GenerateDataKey*","kms:Encrypt"]`, "arn:aws:kms:*:"+account+":key/*")
	conditional := policy(`{"Effect":"Allow","Action":"kms:Encrypt","Resource":"*","Condition":{` +
		`"StringEquals":{"kms:EncryptionContext:app":"pay","aws:ResourceTag/Dept":"HR"},"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}`)
	return map[string]*access.Request{
		"root":        {Caller: caller(root), Action: "Encrypt", Key: k},
		"user":        {Caller: caller(alice, own("Allow", `"kms:*"`, "*")), Action: "Encrypt", Key: k},
		"narrow user": {Caller: caller(alice, narrow), Action: "Encrypt", Key: k},
		"conditions": {Caller: caller(alice, conditional), Action: "Encrypt", Key: k,
			EncryptionContext: map[string]string{"app": "pay"}},
	}
}

func BenchmarkAdmit(b *testing.B) {
	g := gate()
	for name, r := range requests() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := g.Admit(context.Background(), r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
