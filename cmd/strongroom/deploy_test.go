package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func deployed(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", name))
	require.NoError(t, err)
	return string(text)
}

// acceptable shows that a command line is one that the program knows, without running it.
func acceptable(t *testing.T, args []string) {
	t.Helper()
	root := newRoot()
	cmd, rest, err := root.Find(args)
	require.NoError(t, err, args)
	require.NotEqual(t, root, cmd, args)
	require.NoError(t, cmd.ParseFlags(rest), args)
	require.NoError(t, cmd.ValidateRequiredFlags(), args)
	require.NoError(t, cmd.ValidateArgs(cmd.Flags().Args()), args)
}

// TestUnits holds the units of systemd against the program and the sample configuration.
func TestUnits(t *testing.T) {
	credential := regexp.MustCompile(`(?m)^[^#\n]*credential:([a-z0-9-]+)`)
	var wanted []string
	for _, m := range credential.FindAllStringSubmatch(deployed(t, "strongroom.yaml"), -1) {
		wanted = append(wanted, m[1])
	}
	require.NotEmpty(t, wanted)
	for _, name := range []string{"strongroom.service", "strongroom-init.service"} {
		text := deployed(t, name)
		runs := regexp.MustCompile(`(?m)^ExecStart(?:Pre)?=/usr/local/bin/strongroom (.*)$`).FindAllStringSubmatch(text, -1)
		require.NotEmpty(t, runs, name)
		for _, m := range runs {
			acceptable(t, strings.Fields(m[1]))
		}
		var loaded []string
		for _, m := range regexp.MustCompile(`(?m)^LoadCredential=([^:]+):`).FindAllStringSubmatch(text, -1) {
			loaded = append(loaded, m[1])
		}
		assert.Equal(t, wanted, loaded, "%s: the credentials of the sample configuration", name)
		for _, line := range []string{"UMask=0077", "StateDirectoryMode=0700", "LimitCORE=0", "NoNewPrivileges=true"} {
			assert.Contains(t, text, "\n"+line+"\n", name)
		}
	}
}

// TestUnitsSpareThePIN: a service that is started again and again would try a wrong PIN until its token locks it, and an
// initialisation that failed for one, and left a database, must be possible again.
func TestUnitsSpareThePIN(t *testing.T) {
	assert.Contains(t, deployed(t, "strongroom.service"), fmt.Sprintf("\nRestartPreventExitStatus=%d\n", exitPIN))
	assert.NotContains(t, deployed(t, "strongroom-init.service"), "\nCondition")
}

// TestContainerfile holds the container against the program.
func TestContainerfile(t *testing.T) {
	text := deployed(t, "Containerfile")
	mod, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	require.NoError(t, err)
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)
	require.NotNil(t, goVersion)
	assert.Contains(t, text, "FROM golang:"+string(goVersion[1])+"-bookworm AS build\n")
	var words []string
	require.NoError(t, json.Unmarshal([]byte(regexp.MustCompile(`(?m)^CMD (.*)$`).FindStringSubmatch(text)[1]), &words))
	acceptable(t, words)
	for _, m := range regexp.MustCompile(`(?m)^#\s+docker run .* strongroom((?: (?:init|serve) .*)?)$`).FindAllStringSubmatch(text, -1) {
		if args := strings.Fields(m[1]); len(args) > 0 {
			acceptable(t, args)
		}
	}
	assert.Less(t, strings.Index(text, "\nUSER strongroom\n"), strings.Index(text, "\nENTRYPOINT "), "it does not run as root")
	makefile, err := os.ReadFile(filepath.Join("..", "..", "Makefile"))
	require.NoError(t, err)
	assert.Contains(t, string(makefile), "CGO_ENABLED=1 $(GO) build -trimpath -o", "both build in one way")
	assert.Contains(t, text, "CGO_ENABLED=1 go build -trimpath -o")
}

// TestHelp shows that every command explains itself, and prints JSON for programs where it prints anything to read.
func TestHelp(t *testing.T) {
	silent := []string{"init", "serve", "dev", "restore", "export", "credential-file", "completion", "help"}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Name() == "completion" || c.Name() == "help" {
			return
		}
		path := c.CommandPath()
		assert.NotEmpty(t, c.Short, path)
		assert.NotRegexp(t, `[.]$`, c.Short, "%s: a heading has no full stop", path)
		if !c.HasSubCommands() && !slices.Contains(silent, c.Name()) {
			assert.NotNil(t, c.Flags().Lookup("json"), "%s has no --json", path)
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot())
}

// TestReadmeListsCommands shows that the README names every command.
func TestReadmeListsCommands(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	require.NoError(t, err)
	_, table, found := strings.Cut(string(text), "\n## Commands\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n## ")
	for _, c := range newRoot().Commands() {
		if name := c.Name(); name != "completion" && name != "help" {
			assert.Regexp(t, "`(strongroom )?"+name+"\\b", table, "README.md does not name strongroom %s", name)
		}
	}
}

// TestDocsNameCommands shows that every command line in the pages is one of the program's, with its flags.
func TestDocsNameCommands(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join("..", "..", "docs", "*.md"))
	require.NoError(t, err)
	mentioned := regexp.MustCompile("(?m)`(strongroom [^`]+)`|^(?:\\$ )?(strongroom [a-z][^\n]*)$")
	seen := 0
	for _, page := range append(pages, filepath.Join("..", "..", "README.md")) {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range mentioned.FindAllSubmatch(text, -1) {
			line, _, _ := strings.Cut(string(m[1])+string(m[2]), " #")
			words := strings.Fields(strings.NewReplacer("[", " ", "]", " ", "`", " ").Replace(line))[1:]
			cmd, rest, err := newRoot().Find(words)
			if !assert.NoError(t, err, "%s: %s", page, line) {
				continue
			}
			assert.True(t, cmd.HasParent(), "%s: %s: there is no such command", page, line)
			if cmd.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
				assert.Fail(t, "there is no such command", "%s: %s", page, line)
			}
			for _, word := range rest {
				name, isFlag := strings.CutPrefix(word, "--")
				name, _, _ = strings.Cut(name, "=")
				if isFlag && name != "help" {
					assert.NotNil(t, cmd.Flag(strings.Trim(name, ".,;)")), "%s: %s: there is no flag --%s", page, line, name)
				}
			}
			seen++
		}
	}
	assert.Greater(t, seen, 40)
}
