package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const modulePath = "github.com/strongroom/strongroom"

// allowed says which packages of this module a package may import; a trailing slash means everything below. Packages that
// are not listed may import nothing of it. cmd may import everything.
var allowed = map[string][]string{
	"keystore":           {},
	"keystore/access":    {"keystore", "keystore/audit"},
	"keystore/envelope":  {"keystore"},
	"keystore/audit":     {"keystore"},
	"keystore/backend":   {"keystore"},
	"keystore/secp256k1": {},
	"keystore/crypt": {"keystore", "keystore/access", "keystore/envelope", "keystore/audit", "keystore/backend",
		"keystore/secp256k1"},
	"keystore/lifecycle": {"keystore", "keystore/access", "keystore/envelope", "keystore/audit", "keystore/backend"},
	"keystore/custom":    {"keystore", "keystore/access", "keystore/envelope", "keystore/audit", "keystore/backend"},

	"keystore/grants": {"keystore", "keystore/access", "keystore/envelope", "keystore/audit", "keystore/backend"},

	"keystore/usage": {"keystore", "keystore/access", "keystore/audit", "keystore/backend"},

	"keystore/backend/backendtest": {"keystore", "keystore/backend"},

	"api": {"api/shape", "api/sigv4", "keystore", "keystore/crypt", "keystore/lifecycle", "keystore/custom", "keystore/grants", "keystore/access",
		"keystore/audit", "keystore/usage"},
	"api/shape": {"keystore"},
	"api/sigv4": {},

	"hsm":          {},
	"hsm/pkcs11":   {"hsm"},
	"hsm/hsmstore": {"hsm", "keystore", "keystore/backend"},
	"hsm/hsmtest":  {"hsm", "hsm/pkcs11"},

	"xks":             {},
	"xks/proxy":       {"xks", "api/sigv4", "keystore/audit"},
	"xks/client":      {"xks", "api/sigv4"},
	"xks/tokenkeys":   {"xks", "hsm"},
	"xks/conformance": {"xks", "api/sigv4"},
	"xks/xkstest":     {"xks", "api/sigv4"},
	"xks/xksstore":    {"xks", "xks/client", "keystore", "keystore/backend"},

	"state":           {"keystore"},
	"state/sqlite":    {"state", "keystore"},
	"state/postgres":  {"state", "keystore"},
	"state/statetest": {"state", "state/sqlite", "keystore"},
}

// homes says where a third-party module may be imported by the program itself.
var homes = map[string][]string{
	"github.com/miekg/pkcs11":             {"hsm/pkcs11"},
	"github.com/ThalesIgnite/crypto11":    {"hsm/pkcs11"},
	"github.com/gorilla/mux":              {"api", "xks/proxy"},
	"filippo.io/mldsa":                    {"hsm", "keystore/crypt"},
	"github.com/cloudflare/circl":         {"hsm", "keystore/crypt"},
	"modernc.org/sqlite":                  {"state/sqlite"},
	"github.com/spf13/cobra":              {"cmd/strongroom"},
	"github.com/prometheus/client_golang": {"cmd/strongroom/metrics"},
	"go.yaml.in/yaml/v3":                  {"cmd/strongroom/config"},
	"github.com/stretchr/testify":         {}, // tests, and packages that only tests import
	"github.com/rogpeppe/go-internal":     {},
	"github.com/aws/aws-sdk-go-v2":        {},
	"golang.org/x":                        nil, // anywhere
}

// bigFiles may be longer than a file should be, with the reason.
var bigFiles = map[string]string{}

const maxLines = 400

type pkg struct {
	ImportPath   string
	Dir          string
	GoFiles      []string
	CgoFiles     []string
	TestGoFiles  []string
	XTestGoFiles []string
	Imports      []string
	Deps         []string
}

func (p *pkg) rel() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, modulePath), "/")
}

// testOnly tells whether only tests may import the package: its name ends in "test".
func testOnly(rel string) bool { return strings.HasSuffix(rel, "test") }

func listPackages(t *testing.T) []*pkg {
	t.Helper()
	all, err := listOnce()
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

var listOnce = sync.OnceValues(func() ([]*pkg, error) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,CgoFiles,TestGoFiles,XTestGoFiles,Imports,Deps", "./...")
	cmd.Dir = filepath.Join("..", "..")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, stderr.String())
	}
	var all []*pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		p := new(pkg)
		if err := dec.Decode(p); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
})

func repoRoot(t testing.TB) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	return root
}

func TestHouseImports(t *testing.T) {
	for _, p := range listPackages(t) {
		rel := p.rel()
		for _, imp := range p.Imports {
			if to, ours := strings.CutPrefix(imp, modulePath+"/"); ours {
				assert.True(t, mayImport(rel, to), "%s must not import %s", rel, to)
				continue
			}
			if !strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") {
				continue // the standard library
			}
			home, ok := homeOf(imp)
			switch {
			case !assert.True(t, ok, "%s imports %s, which docs/dependencies.md and this test do not know", rel, imp):
			case home == nil, testOnly(rel):
			default:
				assert.Contains(t, home, rel, "%s imports %s, which has its home elsewhere", rel, imp)
			}
		}
	}
}

func mayImport(from, to string) bool {
	if testOnly(to) && !testOnly(from) {
		return false
	}
	if strings.HasPrefix(from, "cmd/") || strings.HasPrefix(from, "testdata/") {
		return true
	}
	return slices.Contains(allowed[from], to) || from == to
}

func homeOf(imp string) ([]string, bool) {
	for module, home := range homes {
		if imp == module || strings.HasPrefix(imp, module+"/") {
			return home, true
		}
	}
	return nil, false
}

// The domain knows no HTTP server, database or cgo, not even through another package.
func TestHouseDomainIsPure(t *testing.T) {
	forbidden := []string{"net/http", "database/sql", "runtime/cgo", "C",
		modulePath + "/api", modulePath + "/hsm", modulePath + "/xks", modulePath + "/state"}
	for _, p := range listPackages(t) {
		rel := p.rel()
		if rel != "keystore" && !strings.HasPrefix(rel, "keystore/") || testOnly(rel) {
			continue
		}
		for _, dep := range p.Deps {
			for _, f := range forbidden {
				if f == "runtime/cgo" {
					continue // package net brings it in wherever cgo is on
				}
				assert.False(t, dep == f || strings.HasPrefix(dep, f+"/") && f != "net/http", "%s depends on %s", rel, dep)
			}
		}
		if rel == "keystore" {
			for _, imp := range p.Imports {
				assert.NotContains(t, imp, ".", "keystore imports the standard library only")
			}
		}
	}
}

// source is a Go file of the tree.
type source struct {
	path  string // relative to the root
	dir   string
	test  bool
	lines int
	text  []byte
	file  *ast.File
	fset  *token.FileSet
}

func (s *source) pos(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.path, s.fset.Position(n.Pos()).Line)
}

// sources gives every Go file of the tree, parsed once for all tests.
func sources(t *testing.T) []*source {
	t.Helper()
	all, err := sourcesOnce()
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

var sourcesOnce = sync.OnceValues(func() (all []*source, err error) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		s := &source{path: rel, dir: filepath.Dir(rel), test: strings.HasSuffix(rel, "_test.go"), text: text,
			lines: bytes.Count(text, []byte("\n")), fset: token.NewFileSet()}
		if s.file, err = parser.ParseFile(s.fset, path, text, parser.ParseComments); err != nil {
			return err
		}
		all = append(all, s)
		return nil
	})
	return all, err
})

func TestHouseSizes(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || testOnly(s.dir) {
			continue
		}
		if _, ok := bigFiles[s.path]; !ok {
			assert.LessOrEqual(t, s.lines, maxLines, "%s has %d lines; split it by noun", s.path, s.lines)
		}
	}
}

func TestHouseNoInitAndNoGlobalLogger(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			assert.False(t, ok && fn.Recv == nil && fn.Name.Name == "init", "%s: func init", s.pos(d))
		}
		if s.test {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			pkg, name, ok := selector(call.Fun)
			if ok && (pkg == "slog" && slices.Contains([]string{"Info", "Warn", "Error", "Debug", "SetDefault", "Default"}, name) ||
				pkg == "log" && imports(s, "log") && name != "New") {
				assert.Fail(t, "global logger", "%s: %s.%s", s.pos(n), pkg, name)
			}
			return true
		})
	}
}

func imports(s *source, path string) bool {
	return slices.ContainsFunc(s.file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"`+path+`"` && i.Name == nil })
}

func selector(e ast.Expr) (pkg, name string, ok bool) {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return "", "", false
	}
	id, ok := sel.X.(*ast.Ident)
	if !ok {
		return "", "", false
	}
	return id.Name, sel.Sel.Name, true
}

// Time comes from an injected clock below keystore.
func TestHouseInjectedClock(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || testOnly(s.dir) || s.dir != "keystore" && !strings.HasPrefix(s.dir, "keystore/") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if e, ok := n.(ast.Expr); ok {
				pkg, name, ok := selector(e)
				if ok && pkg == "time" && slices.Contains([]string{"Now", "Since", "Until"}, name) {
					assert.Fail(t, "clock not injected", "%s: time.%s", s.pos(n), name)
				}
			}
			return true
		})
	}
}

func TestHouseDocumentedExports(t *testing.T) {
	docs := map[string]bool{} // directory to: some file has a package comment
	for _, s := range sources(t) {
		if !s.test {
			docs[s.dir] = docs[s.dir] || s.file.Doc != nil
		}
	}
	for dir, ok := range docs {
		assert.True(t, ok, "%s: no package comment", dir)
	}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		for _, d := range s.file.Decls {
			for _, name := range undocumented(d) {
				assert.Fail(t, "exported name without a comment", "%s: %s", s.pos(d), name)
			}
		}
	}
}

// undocumented lists the exported names of a declaration that have no comment of their own nor one of their group.
func undocumented(d ast.Decl) []string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && (d.Recv == nil || receiverExported(d)) {
			return []string{d.Name.Name}
		}
	case *ast.GenDecl:
		var names []string
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() && d.Doc == nil && spec.Doc == nil {
					names = append(names, spec.Name.Name)
				}
			case *ast.ValueSpec:
				for _, n := range spec.Names {
					if n.IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
						names = append(names, n.Name)
					}
				}
			}
		}
		return names
	}
	return nil
}

func receiverExported(d *ast.FuncDecl) bool {
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	switch typ := typ.(type) {
	case *ast.Ident:
		return typ.IsExported()
	case *ast.IndexExpr:
		id, ok := typ.X.(*ast.Ident)
		return ok && id.IsExported()
	}
	return false
}

// Nothing is left for later, skipped, or tied to one machine.
func TestHouseNothingUnfinished(t *testing.T) {
	words := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME)\b`)
	skips := regexp.MustCompile(`\bt\.Skip` + `(f|Now)?\(`)
	for _, s := range sources(t) {
		if !words.Match(s.text) && !skips.Match(s.text) {
			continue
		}
		for i, line := range bytes.Split(s.text, []byte("\n")) {
			assert.False(t, words.Match(line), "%s:%d: unfinished: %s", s.path, i+1, line)
			assert.False(t, skips.Match(line), "%s:%d: a test that skips: %s", s.path, i+1, line)
		}
	}
}
