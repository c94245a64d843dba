// SPDX-License-Identifier: MPL-2.0

package workerd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// unquote reads a literal as Cap'n Proto's lexer does.
func unquote(t *testing.T, lit string) string {
	t.Helper()
	if len(lit) < 2 || lit[0] != '"' || lit[len(lit)-1] != '"' {
		t.Fatalf("%q is no literal", lit)
	}
	var b strings.Builder
	for i := 1; i < len(lit)-1; i++ {
		c := lit[i]
		switch {
		case c == '"' || c < 0x20 || c >= 0x7f:
			t.Fatalf("%q has a bare %q", lit, c)
		case c != '\\':
			b.WriteByte(c)
		case lit[i+1] == 'x':
			n, err := strconv.ParseUint(lit[i+2:i+4], 16, 8)
			if err != nil {
				t.Fatalf("%q: %v", lit, err)
			}
			b.WriteByte(byte(n))
			i += 3
		default:
			i++
			b.WriteByte(lit[i])
		}
	}
	return b.String()
}

func FuzzQuoteKeepsEveryByte(f *testing.F) {
	for _, s := range []string{"", `"`, `\`, `\x41`, "\\\"\n\r\t\x00", "é漢😀\u2028", "\xff\xfe", `", secret = "x`, "embed \"/etc/passwd\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := unquote(t, quote(s)); got != s {
			t.Errorf("quote(%q) reads as %q", s, got)
		}
	})
}

func binding(name, typ string, fields map[string]string) Binding {
	b := Binding{Name: name, Type: typ, Fields: map[string]json.RawMessage{}}
	for k, v := range fields {
		b.Fields[k] = json.RawMessage(v)
	}
	return b
}

func version(bindings ...Binding) Version {
	return Version{
		ID: "v", MainModule: "index.js", Bindings: bindings,
		Modules: []Module{{Name: "a.js", Type: ESModule, Path: "/a"}, {Name: "index.js", Type: ESModule, Path: "/index"}},
	}
}

func TestTheMainModuleComesFirstAndDatesHaveADefault(t *testing.T) {
	t.Parallel()
	config, err := Process{Version: version()}.Config()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`modules = [(name = "index.js", esModule = embed "/index"), (name = "a.js", esModule = embed "/a")]`,
		`compatibilityDate = "2021-11-02"`,
		`allow = ["public"]`,
		`"--max-heap-size=256"`,
	} {
		if !strings.Contains(string(config), want) {
			t.Errorf("the configuration lacks %s:\n%s", want, config)
		}
	}
}

func TestABindingThatCannotBeIsNamedAndItsValueIsNot(t *testing.T) {
	t.Parallel()
	for want, b := range map[string]Binding{
		`binding "A": a self-hosted plane has no bindings of type "browser"`: binding("A", "browser", nil),
		`binding "B": member "text" is not a string`:                         binding("B", "secret_text", map[string]string{"text": `["hunter2"]`}),
		`binding "C": member "text" is missing`:                              binding("C", "plain_text", nil),
		`binding "D": member "json" is not JSON`:                             binding("D", "json", map[string]string{"json": `{hunter2`}),
		`binding "E": member "service" is missing`:                           binding("E", "service", nil),
	} {
		_, err := Process{Version: version(b)}.Config()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func TestAValidatingProcessHasNoSecrets(t *testing.T) {
	t.Parallel()
	v := version(binding("S", "secret_text", map[string]string{"text": `"hunter2"`}), binding("T", "service", map[string]string{"service": `"x"`}))
	config, err := ValidatingProcess{Version: v}.Config()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(config), "hunter2") || strings.Contains(string(config), `"public"`) {
		t.Errorf("the configuration has a secret or a network:\n%s", config)
	}
}

func TestServiceTargetsAreRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ entrypoint, want string }{{`"Admin"`, "Admin"}, {`"default"`, ""}, {`""`, ""}} {
		service, entrypoint, err := ServiceTarget(binding("B", "service", map[string]string{"service": `"api"`, "entrypoint": c.entrypoint}))
		if err != nil || service != "api" || entrypoint != c.want {
			t.Errorf("entrypoint %s: %q, %q, %v", c.entrypoint, service, entrypoint, err)
		}
	}
}

func TestArgvNamesDescriptorsAndNothingElse(t *testing.T) {
	t.Parallel()
	got := Invocation{Binary: "/w", ConfigFD: 4, ControlFD: 3, Sockets: []string{"main", "health"}, SocketFD: 5}.Argv()
	want := []string{"/w", "serve", "--import-path=/", "--control-fd=3", "--socket-fd=main=5", "--socket-fd=health=6", "/proc/self/fd/4"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnAllowedRangeIsNotDeniedAsWell(t *testing.T) {
	t.Parallel()
	e, err := ParseEgress([]string{"198.18.0.0/15", "10.0.0.7", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	allow, deny := e.rules()
	if diff := cmp.Diff([]string{"public", "198.18.0.0/15", "10.0.0.7/32", "fd00::/8"}, allow); diff != "" {
		t.Error(diff)
	}
	denied := strings.Join(deny, " ")
	if strings.Contains(denied, "198.18.0.0/15") || !strings.Contains(denied, "168.63.129.16/32") || !strings.Contains(denied, "64:ff9b::/96") {
		t.Errorf("denied: %s", denied)
	}
	if _, err := ParseEgress([]string{"example.com"}); err == nil || !strings.Contains(err.Error(), `"example.com"`) {
		t.Errorf("a host name as a range: %v", err)
	}
}

func TestFindTakesTheBinaryAndRefusesTheScript(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name, "workerd")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	script := write("script", "#!/usr/bin/env node\n", 0o755)
	plain := write("plain", "\x7fELF....", 0o644)
	binary := write("binary", "\x7fELF....", 0o755)
	env := func(vars map[string]string) func(string) string { return func(k string) string { return vars[k] } }
	path := strings.Join([]string{filepath.Dir(script), filepath.Dir(plain), filepath.Dir(binary)}, string(os.PathListSeparator))
	for name, c := range map[string]struct {
		explicit string
		env      map[string]string
		want     string
		err      string
	}{
		"named":            {explicit: binary, env: map[string]string{PathVariable: script}, want: binary},
		"variable":         {env: map[string]string{PathVariable: binary}, want: binary},
		"path":             {env: map[string]string{"PATH": path}, want: binary},
		"named script":     {explicit: script, err: "this is a script that starts workerd"},
		"not executable":   {explicit: plain, err: "not an executable file"},
		"missing":          {explicit: filepath.Join(dir, "no"), err: "no such file"},
		"nowhere":          {env: map[string]string{"PATH": filepath.Dir(script)}, err: "no binary on PATH"},
		"a wrong variable": {env: map[string]string{PathVariable: filepath.Join(dir, "no"), "PATH": path}, err: "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Find(c.explicit, env(c.env))
			if c.err == "" && (err != nil || got != c.want) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("Find = %q, %v, want %q, %q", got, err, c.want, c.err)
			}
		})
	}
}

func TestOutputIsReadWithItsLevel(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]LogLine{
		`{"timestamp":1,"level":"warn","message":"a\nb"}`:                                                                           {Level: "warn", Message: "a\nb"},
		`{"timestamp":"1","level":"error","source":"x:1","message":"no"}`:                                                           {Level: "error", Message: "no", Runtime: true},
		`{"level":"error","source":"x:1","message":"e = ffi.rs:1: failed: no route\nstack: /bin/workerd@1; x = y; wdErrId = ab12"}`: {Level: "error", Message: "e = ffi.rs:1: failed: no route (reference = ab12)", Runtime: true},
		`{"level":"error","source":"x:1","message":"e = ffi.rs:1: failed: connecting to 10.0.0.1:80 is not allowed\nstack: /bin/workerd@1; wdErrId = ab12"}`: {
			Level: "error", Runtime: true,
			Message: `the Worker may not connect to 10.0.0.1:80: private, loopback and special addresses are closed to Workers; "hybridge dev --allow-egress" opens some (reference = ab12)`,
		},
		`{"level":"error","message":"mine\nstack: kept"}`: {Level: "error", Message: "mine\nstack: kept"},
		`{"not":"ours"}`: {Level: "error", Message: `{"not":"ours"}`, Runtime: true},
		`plain`:          {Level: "error", Message: "plain", Runtime: true},
	} {
		if diff := cmp.Diff(want, ParseLog([]byte(line))); diff != "" {
			t.Errorf("%s:\n%s", line, diff)
		}
	}
}

func TestAFaultOfTheMachineIsNotTheUploaders(t *testing.T) {
	t.Parallel()
	if err := StartupError(version(), "cannot open shared object file", 0); err != nil {
		t.Errorf("StartupError = %v", err)
	}
	err := StartupError(version(), "service main: Uncaught Error: see /index\n  at index.js:1:1", 0)
	if err == nil || err.Message != "Uncaught Error: see index.js\n  at index.js:1:1" {
		t.Errorf("StartupError = %v", err)
	}
}
