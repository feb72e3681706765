package custom

// Certificate is the parser of trust anchors.
var Certificate = certificate
