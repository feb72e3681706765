package shape

import "github.com/strongroom/strongroom/keystore"

// CreateGrantResponse is the answer of CreateGrant.
type CreateGrantResponse struct{ GrantToken, GrantID string }

// Write implements Response. A token is left out of records.
func (r *CreateGrantResponse) Write(w *Writer) {
	if !w.record {
		w.String("GrantToken", r.GrantToken)
	}
	w.String("GrantId", r.GrantID)
}

// GrantEntry is a GrantListEntry: a grant and its key.
type GrantEntry struct {
	*keystore.Grant
	Account string
}

// Write implements Response.
func (r GrantEntry) Write(w *Writer) {
	w.String("KeyId", keystore.KeyARN(r.Region, r.Account, r.KeyID))
	w.String("GrantId", r.ID)
	w.Text("Name", r.Name)
	w.Time("CreationDate", r.Created)
	w.String("GranteePrincipal", r.Grantee)
	w.String("GranteeServicePrincipal", r.GranteeService)
	w.String("RetiringPrincipal", r.Retiring)
	w.String("RetiringServicePrincipal", r.RetiringService)
	w.String("IssuingAccount", r.Issuer)
	w.Strings("Operations", r.Operations)
	if r.HasConstraints {
		w.Object("Constraints", grantConstraints{r.Grant})
	}
}

// grantConstraints is GrantConstraints of an answer.
type grantConstraints struct{ *keystore.Grant }

func (r grantConstraints) Write(w *Writer) {
	w.Map("EncryptionContextSubset", r.ContextSubset)
	w.Map("EncryptionContextEquals", r.ContextEquals)
	w.String("SourceArn", r.SourceARN)
}

// ListGrantsResponse is the answer of ListGrants and ListRetirableGrants.
type ListGrantsResponse struct {
	Grants []GrantEntry
	Next
}

// Write implements Response.
func (r *ListGrantsResponse) Write(w *Writer) {
	List(w, "Grants", r.Grants)
	r.Next.Write(w)
}
