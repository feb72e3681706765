package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/xks/xkstest"
)

// awsCLI is the distribution's AWS CLI. Others that may be in the PATH are of other versions.
const awsCLI = "/usr/bin/aws"

// TestScenarios runs testdata/scenarios. In FREE_ADDRESS they have an address where nobody listens but who is told to; in
// CLOSED_PORT a port of the loop-back interface where nothing can. Besides testscript's own commands they have:
//
//	start [flags]      run `strongroom dev --dir appliance` and wait until it is ready; the variables of dev.env are set,
//	                   and TRUST is the trust anchor's text as it stands in a JSON string
//	shutdown, crash    end it by SIGTERM, which must give exit code 0 and remove dev.env, or by SIGKILL
//	aws …              the AWS CLI, at the appliance
//	kms OP ['{…}']     one call with AWS's Go SDK
//	pkcs11 …           what another program does on the first cluster's token: make LABEL, destroy CKA_ID
//	json VAR PATH      set a variable to a value in the JSON that was printed last, as KeyMetadata.KeyId or [0].id
//	until TEXT -- COMMAND…   repeat a command until what it prints has the text
func TestScenarios(t *testing.T) {
	require.FileExists(t, awsCLI, "install the distribution's AWS CLI: make test-deps")
	testscript.Run(t, testscript.Params{
		Dir:   filepath.Join("..", "..", "testdata", "scenarios"),
		Setup: setupScenario,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"start": scenarioStart, "shutdown": scenarioShutdown, "crash": scenarioCrash, "aws": scenarioAWS, "json": scenarioJSON,
			"until": scenarioUntil,
		},
	})
}

type applianceKey struct{}

// running is the appliance of a scenario; process is nil while there is none.
type running struct{ *process }

func runningIn(ts *testscript.TestScript) *running { return ts.Value(applianceKey{}).(*running) }

func setupScenario(env *testscript.Env) error {
	r := &running{}
	env.Values[applianceKey{}] = r
	env.Defer(func() {
		if r.process != nil {
			_ = r.end(syscall.SIGKILL)
		}
	})
	address, forget, err := keepAddress()
	if err != nil {
		return err
	}
	env.Defer(forget)
	env.Setenv("FREE_ADDRESS", address)
	closed, release, err := xkstest.Reserve(0)
	if err != nil {
		return err
	}
	env.Defer(release)
	env.Setenv("CLOSED_PORT", strconv.Itoa(closed))
	env.Vars = append(env.Vars, raceOptions())
	env.Setenv("AWS_PAGER", "")
	env.Setenv("AWS_MAX_ATTEMPTS", "1")
	env.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	env.Setenv("AWS_CONFIG_FILE", filepath.Join(env.WorkDir, "no-aws-config"))
	env.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(env.WorkDir, "no-aws-credentials"))
	return nil
}

// readyTimeout is for machines that are busy with other tests; a start takes a fraction of a second.
const readyTimeout = time.Minute

func scenarioStart(ts *testscript.TestScript, neg bool, args []string) {
	r := runningIn(ts)
	if r.process != nil && !neg {
		ts.Fatalf("the appliance runs already")
	}
	dir := ts.MkAbs("appliance")
	env := []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME"), crashVariable + "=" + ts.Getenv(crashVariable)}
	p, err := startDev(dir, ts.MkAbs(fmt.Sprintf("appliance-%d.log", time.Now().UnixNano())), env, args...)
	if neg {
		if err == nil {
			_ = p.end(syscall.SIGKILL)
			ts.Fatalf("the appliance started")
		}
		ts.Check(os.WriteFile(ts.MkAbs("refusal"), []byte(err.Error()), 0o600))
		return
	}
	ts.Check(err)
	r.process = p
	vars, err := readEnvFile(filepath.Join(dir, "dev.env"))
	ts.Check(err)
	for name, value := range vars {
		ts.Setenv(name, value)
	}
	pem, err := os.ReadFile(vars["STRONGROOM_TRUST_ANCHOR"])
	ts.Check(err)
	ts.Setenv("TRUST", strings.ReplaceAll(string(pem), "\n", `\n`))
}

// process is a `strongroom dev` of its own process.
type process struct {
	cmd   *exec.Cmd
	ended chan error
	log   string
}

// startDev runs the program and waits until it is ready. The error of one that ended has what it printed.
func startDev(dir, logFile string, env []string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(logFile)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &process{cmd: exec.Command(self), ended: make(chan error, 1), log: logFile}
	p.cmd.Args = append([]string{"strongroom", "dev", "--quiet", "--dir", dir, "--kms-addr", "127.0.0.1:0", "--xks-addr", "127.0.0.1:0",
		"--admin-addr", "127.0.0.1:0"}, args...)
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = append([]string{raceOptions()}, env...), log, log
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.ended <- p.cmd.Wait() }()
	deadline := time.After(readyTimeout)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-p.ended:
			return nil, fmt.Errorf("it ended before it was ready: %w\n%s", err, p.printed())
		case <-deadline:
			_ = p.end(syscall.SIGKILL)
			return nil, fmt.Errorf("it was not ready within %s\n%s", readyTimeout, p.printed())
		case <-tick.C:
			// A process that was killed leaves its file behind until the next one starts.
			vars, err := readEnvFile(filepath.Join(dir, "dev.env"))
			if err == nil && vars["STRONGROOM_PID"] == strconv.Itoa(p.cmd.Process.Pid) {
				return p, nil
			}
		}
	}
}

func (p *process) printed() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// end sends a signal and waits for the process.
func (p *process) end(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return err
	}
	return <-p.ended
}

func readEnvFile(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	vars := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if !ok || !strings.HasPrefix(line, "export ") || !strings.HasPrefix(value, "'") || !strings.HasSuffix(value, "'") {
			return nil, fmt.Errorf("%s: %q is not export NAME='value'", path, line)
		}
		vars[name] = strings.ReplaceAll(value[1:len(value)-1], `'\''`, "'")
	}
	return vars, nil
}

func scenarioShutdown(ts *testscript.TestScript, neg bool, args []string) {
	r := runningIn(ts)
	if r.process == nil {
		ts.Fatalf("the appliance does not run")
	}
	err := r.end(syscall.SIGTERM)
	printed := r.printed()
	r.process = nil
	if err != nil {
		ts.Fatalf("stop: %v\n%s", err, printed)
	}
	if strings.Contains(printed, "DATA RACE") {
		ts.Fatalf("%s", printed)
	}
	if _, err := os.Stat(filepath.Join(ts.MkAbs("appliance"), "dev.env")); err == nil {
		ts.Fatalf("dev.env is still there")
	}
}

func scenarioCrash(ts *testscript.TestScript, neg bool, args []string) {
	r := runningIn(ts)
	if r.process == nil {
		ts.Fatalf("the appliance does not run")
	}
	_ = r.end(syscall.SIGKILL)
	r.process = nil
}

func scenarioAWS(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec(awsCLI, append([]string{"--endpoint-url", ts.Getenv("AWS_ENDPOINT_URL_KMS")}, args...)...)
	if (err == nil) == neg {
		ts.Fatalf("aws %s: %v", strings.Join(args, " "), err)
	}
}

func scenarioJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: json VAR PATH")
	}
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &v))
	for _, step := range strings.FieldsFunc(args[1], func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		switch at := v.(type) {
		case map[string]any:
			v = at[step]
		case []any:
			i, err := strconv.Atoi(step)
			ts.Check(err)
			if i >= len(at) {
				ts.Fatalf("json %s: there are %d elements", args[1], len(at))
			}
			v = at[i]
		}
	}
	if v == nil {
		ts.Fatalf("json %s: there is no such value in %s", args[1], ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}

func scenarioUntil(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 || args[1] != "--" {
		ts.Fatalf("usage: until PATTERN -- COMMAND…")
	}
	for deadline := time.Now().Add(readyTimeout); ; time.Sleep(50 * time.Millisecond) {
		err := ts.Exec(args[2], args[3:]...)
		if err == nil && strings.Contains(ts.ReadFile("stdout"), args[0]) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("until %s: %v\n%s", args[0], err, ts.ReadFile("stdout"))
		}
	}
}
