package shape

// GrantConstraints is GrantConstraints of CreateGrant.
type GrantConstraints struct {
	Given
	EncryptionContextSubset map[string]string
	EncryptionContextEquals map[string]string
	SourceARN               string
}

// Members implements Request.
func (r *GrantConstraints) Members(m *Members) {
	m.Map("EncryptionContextSubset", &r.EncryptionContextSubset)
	m.Map("EncryptionContextEquals", &r.EncryptionContextEquals)
	m.String("SourceArn", &r.SourceARN, optional, &sourceARN)
}

// CreateGrantRequest is the request of CreateGrant.
type CreateGrantRequest struct {
	KeyID                    string
	GranteePrincipal         string
	GranteeServicePrincipal  string
	RetiringPrincipal        string
	RetiringServicePrincipal string
	Operations               []string
	Constraints              GrantConstraints
	GrantTokens              []string
	Name                     string
	DryRun                   bool
}

// Members implements Request.
func (r *CreateGrantRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.String("GranteePrincipal", &r.GranteePrincipal, optional, &principal)
	m.String("GranteeServicePrincipal", &r.GranteeServicePrincipal, optional, &servicePrincipal)
	m.String("RetiringPrincipal", &r.RetiringPrincipal, optional, &principal)
	m.String("RetiringServicePrincipal", &r.RetiringServicePrincipal, optional, &servicePrincipal)
	m.Strings("Operations", &r.Operations, required, nil, &grantOperation)
	m.Struct("Constraints", &r.Constraints)
	m.Strings("GrantTokens", &r.GrantTokens, optional, &grantTokens, &grantToken)
	m.String("Name", &r.Name, optional, &grantName)
	m.Bool("DryRun", &r.DryRun)
}

// ListGrantsRequest is the request of ListGrants.
type ListGrantsRequest struct {
	Limit                   *int32
	Marker                  string
	KeyID                   string
	GrantID                 string
	GranteePrincipal        string
	GranteeServicePrincipal string
}

// Members implements Request.
func (r *ListGrantsRequest) Members(m *Members) {
	m.Int("Limit", &r.Limit, &limit)
	m.String("Marker", &r.Marker, optional, &marker)
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.String("GrantId", &r.GrantID, optional, &grantID)
	m.String("GranteePrincipal", &r.GranteePrincipal, optional, &principal)
	m.String("GranteeServicePrincipal", &r.GranteeServicePrincipal, optional, &servicePrincipal)
}

// ListRetirableGrantsRequest is the request of ListRetirableGrants.
type ListRetirableGrantsRequest struct {
	Limit                    *int32
	Marker                   string
	RetiringPrincipal        string
	RetiringServicePrincipal string
}

// Members implements Request.
func (r *ListRetirableGrantsRequest) Members(m *Members) {
	m.Int("Limit", &r.Limit, &limit)
	m.String("Marker", &r.Marker, optional, &marker)
	m.String("RetiringPrincipal", &r.RetiringPrincipal, optional, &principal)
	m.String("RetiringServicePrincipal", &r.RetiringServicePrincipal, optional, &servicePrincipal)
}

// RetireGrantRequest is the request of RetireGrant.
type RetireGrantRequest struct {
	GrantToken string
	KeyID      string
	GrantID    string
	DryRun     bool
}

// unloggedToken is a grant token, which no record shows.
var unloggedToken = grantToken.unlogged()

// Members implements Request.
func (r *RetireGrantRequest) Members(m *Members) {
	m.String("GrantToken", &r.GrantToken, optional, &unloggedToken)
	m.String("KeyId", &r.KeyID, optional, &keyID)
	m.String("GrantId", &r.GrantID, optional, &grantID)
	m.Bool("DryRun", &r.DryRun)
}

// RevokeGrantRequest is the request of RevokeGrant.
type RevokeGrantRequest struct {
	KeyID   string
	GrantID string
	DryRun  bool
}

// Members implements Request.
func (r *RevokeGrantRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.String("GrantId", &r.GrantID, required, &grantID)
	m.Bool("DryRun", &r.DryRun)
}
