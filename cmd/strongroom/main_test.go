package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test binary be the program as well: under the name strongroom it is main, under the name kms a small
// client, under the name pkcs11 another program on the token. So the tests run real processes, with the race detector where the tests have it.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"strongroom": main, "kms": kmsMain, "pkcs11": pkcs11Main})
}

// raceOptions are the race detector's in processes that tests start. By its own choice each would sleep for a second before
// it ends well, so that goroutines that still run can be caught: the tests start hundreds, and what they start joins its
// goroutines.
func raceOptions() string { return "GORACE=atexit_sleep_ms=20 " + os.Getenv("GORACE") }
