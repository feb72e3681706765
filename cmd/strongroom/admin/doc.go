// Package admin is how an operator's commands speak to the running appliance: JSON over HTTP on a unix socket that only
// its owner can open. It holds the messages, the client and the frame of the server; the answers themselves come from
// package appliance.
package admin
