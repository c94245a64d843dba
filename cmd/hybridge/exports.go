// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent"
)

// exportsHeader starts every file of exports: only such a file is replaced or
// removed.
const exportsHeader = "# written by hybridge dev; it goes when the plane stops\n"

// variable is one environment variable.
type variable struct{ name, value string }

// variables point Terraform, OpenTofu, wrangler and scripts at a plane.
func variables(addrs agent.Addresses, id agent.Identity) []variable {
	base := "http://" + addrs.API + "/client/v4"
	return []variable{
		{"CLOUDFLARE_BASE_URL", base},     // the official provider, cloudflare-go
		{"CLOUDFLARE_API_BASE_URL", base}, // wrangler
		{"CLOUDFLARE_API_TOKEN", id.Token},
		{"CLOUDFLARE_ACCOUNT_ID", id.AccountID},
		{"HYBRIDGE_INGRESS_URL", "http://" + addrs.Ingress},
		{"HYBRIDGE_SUBDOMAIN", id.Subdomain},
	}
}

// exportLines are the variables in the syntax of POSIX shells.
func exportLines(vars []variable) []byte {
	var b bytes.Buffer
	for _, v := range vars {
		fmt.Fprintf(&b, "export %s='%s'\n", v.name, strings.ReplaceAll(v.value, "'", `'\''`))
	}
	return b.Bytes()
}

// envFile is a file of exports that exists as long as its plane is ready. It
// carries a token. The zero value is no file.
type envFile struct {
	path    string
	content []byte // what we wrote; nil before
}

// clear removes what a killed plane left, so that whoever waits for the file
// does not read an old one. A file that is not ours stops it.
func (f *envFile) clear() error {
	if f.path == "" {
		return nil
	}
	abs, err := filepath.Abs(f.path) // the command may change the directory
	if err != nil {
		return fmt.Errorf("preparing the file of exports: %w", err)
	}
	f.path = abs
	if dir, err := os.Stat(filepath.Dir(abs)); err != nil || !dir.IsDir() {
		return fmt.Errorf("preparing the file of exports: there is no directory %s: make it, or name another file with --env-file", filepath.Dir(abs))
	}
	old, err := os.ReadFile(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("preparing the file of exports: %w", err)
	case len(old) > 0 && !bytes.HasPrefix(old, []byte(exportsHeader)):
		return fmt.Errorf("preparing the file of exports: %s exists and was not written by hybridge dev: move it away or name another file with --env-file", f.path)
	}
	if err := os.Remove(f.path); err != nil {
		return fmt.Errorf("preparing the file of exports: %w", err)
	}
	return nil
}

func (f *envFile) write(vars []variable) error {
	if f.path == "" {
		return nil
	}
	f.content = append([]byte(exportsHeader), exportLines(vars)...)
	return agent.WritePrivateFile(f.path, f.content)
}

// shown is what goes to standard output, which often ends in a log that everybody can
// read: the exports with their token only where no file has them.
func (f *envFile) shown(vars []variable) []byte {
	if f.path == "" {
		return exportLines(vars)
	}
	return fmt.Appendf(nil, ". '%s'\n", strings.ReplaceAll(f.path, "'", `'\''`))
}

// remove removes the file, unless another plane has written it meanwhile.
func (f *envFile) remove() {
	if f.content == nil {
		return
	}
	if now, err := os.ReadFile(f.path); err == nil && bytes.Equal(now, f.content) {
		_ = os.Remove(f.path)
	}
}

func portOf(address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	return port
}
