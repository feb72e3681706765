package crypt

// ParsePublic is parsePublic.
var ParsePublic = parsePublic
