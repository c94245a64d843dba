// SPDX-License-Identifier: MPL-2.0

package sealed_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// envSOPS names the real program, which `make tools` builds.
const envSOPS = "HYBRIDGE_SOPS"

// workshop is a directory with an age key and the real sops program.
type workshop struct {
	t         testing.TB
	dir       string
	key       string // path of the key file
	identity  sealed.Secret
	recipient string
	env       []string // more variables for the sops program
}

func newWorkshop(t testing.TB) workshop {
	t.Helper()
	w := workshop{t: t, dir: t.TempDir()}
	var err error
	if w.identity, w.recipient, err = sealed.NewAgeKey(time.Now()); err != nil {
		t.Fatal(err)
	}
	w.key = w.write("key.txt", w.identity.Reveal())
	return w
}

func (w workshop) path(name string) string { return filepath.Join(w.dir, name) }

func (w workshop) write(name, text string) string {
	w.t.Helper()
	path := w.path(name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w workshop) read(name string) string {
	w.t.Helper()
	text, err := os.ReadFile(w.path(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// sops runs the real program with the workshop's key and fails unless it
// succeeds. Nothing of the user's own set-up reaches it.
func (w workshop) sops(args ...string) string {
	w.t.Helper()
	out, err := w.trySOPS(args...)
	if err != nil {
		w.t.Fatalf("sops %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (w workshop) trySOPS(args ...string) (string, error) {
	w.t.Helper()
	program := os.Getenv(envSOPS)
	if program == "" {
		program = filepath.Join("..", "..", ".cache", "bin", "sops")
	}
	program, err := filepath.Abs(program)
	if err == nil {
		_, err = os.Stat(program)
	}
	if err != nil {
		w.t.Fatalf("this test runs the real sops program and does not find it (%v): run `make tools`, or set %s to its path", err, envSOPS)
	}
	cmd := exec.CommandContext(w.t.Context(), program, args...)
	cmd.Dir = w.dir
	cmd.Env = []string{"HOME=" + w.dir, "PATH=" + os.Getenv("PATH"), "SOPS_AGE_KEY_FILE=" + w.key, "SOPS_DISABLE_VERSION_CHECK=1", "GNUPGHOME=" + w.path("gnupg")}
	cmd.Env = append(cmd.Env, w.env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stderr.String(), err
	}
	return stdout.String(), nil
}

// encrypt writes a file and encrypts it in place for the workshop's key.
func (w workshop) encrypt(name, text string, args ...string) string {
	w.t.Helper()
	path := w.write(name, text)
	w.sops(append(append([]string{"encrypt", "--in-place", "--age", w.recipient}, args...), name)...)
	return path
}

func (w workshop) store() *sealed.Store {
	return sealed.NewStore(sealed.Identities{AgeKeyFile: w.key})
}

func (w workshop) parse(name string) *sealed.File {
	w.t.Helper()
	f, err := sealed.Read(w.path(name), "")
	if err != nil {
		w.t.Fatal(err)
	}
	return f
}

func (w workshop) open(name string) *sealed.Opened {
	w.t.Helper()
	o, err := w.store().Open(w.t.Context(), w.parse(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

func path(t testing.TB, text string) sealed.Path {
	t.Helper()
	p, err := sealed.ParsePath(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func digest(t testing.TB, f *sealed.File, key string) string {
	t.Helper()
	d, err := f.Digest(path(t, key))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
