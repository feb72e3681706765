// Package tokenkeys keeps the external keys of an XKS proxy on a PKCS#11 token.
//
// An external key is an AES-256 object on the token, addressed by its CKA_LABEL or by its CKA_ID in hexadecimal
// ([Addressing]). Any such object can be used, whoever made it; [Keys.Create] makes new ones, the protocol never does.
// Two objects that answer to one external key id are refused, not chosen from. Objects of the appliance itself
// (labels "strongroom:…") and backing keys of KMS keys (labels "arn:…") are never external keys.
//
// What the token cannot keep, whether a key is enabled and what it may be used for, is in a [Store]; an object without
// a row there is enabled for all that its attributes allow. Rows are written before the token is touched, so that a
// row names every object this package ever made.
//
// Keys implements proxy.Keys and proxy.Prober. Objects are looked up once, in the background, and then
// remembered: the token is not searched on the way of a request. Close ends the background.
package tokenkeys
