// Package dev makes what `strongroom dev` needs around the appliance: SoftHSM2 tokens, certificates, secrets, a clock that
// can be moved and the file of variables for its users. It composes no appliance: it ends in a configuration that package
// appliance runs like any other.
package dev
