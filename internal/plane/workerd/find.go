// SPDX-License-Identifier: MPL-2.0

package workerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// PathVariable names the environment variable that points to workerd.
const PathVariable = "HYBRIDGE_WORKERD"

const findRemedy = "install it with \"npm install workerd\" and point --workerd or " + PathVariable +
	" to node_modules/@cloudflare/workerd-<platform>/bin/workerd"

// Find returns the path of the workerd binary: explicit if it is not empty, else
// the value of HYBRIDGE_WORKERD, else the first real binary on PATH. The npm
// package puts a Node.js script of the same name on PATH, which would add a
// process that does not forward signals and descriptors: Find passes it over,
// and refuses it where it was named.
func Find(explicit string, getenv func(string) string) (string, error) {
	named := explicit
	if named == "" {
		named = getenv(PathVariable)
	}
	if named != "" {
		abs, err := filepath.Abs(named)
		if err != nil {
			return "", fmt.Errorf("finding workerd: %w", err)
		}
		if err := checkBinary(abs); err != nil {
			return "", fmt.Errorf("finding workerd at %s: %w", named, err)
		}
		return abs, nil
	}
	for _, dir := range filepath.SplitList(getenv("PATH")) {
		p := filepath.Join(dir, "workerd")
		if filepath.IsAbs(p) && checkBinary(p) == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("finding workerd: no binary on PATH; %s", findRemedy)
}

// magics start an executable of Linux or macOS.
var magics = [][]byte{
	{0x7f, 'E', 'L', 'F'},
	{0xcf, 0xfa, 0xed, 0xfe}, // Mach-O, 64 bit
	{0xca, 0xfe, 0xba, 0xbe}, // Mach-O, universal
}

func checkBinary(path string) error {
	f, err := os.Open(path)
	if err != nil {
		var perr *os.PathError
		if errors.As(err, &perr) {
			return fmt.Errorf("%w; %s", perr.Err, findRemedy)
		}
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return errors.New("not an executable file; " + findRemedy)
	}
	var head [4]byte
	if _, err := f.Read(head[:]); err != nil {
		return errors.New("not a binary; " + findRemedy)
	}
	for _, m := range magics {
		if bytes.Equal(head[:], m) {
			return nil
		}
	}
	if bytes.HasPrefix(head[:], []byte("#!")) {
		return errors.New("this is a script that starts workerd, not the binary; " + findRemedy)
	}
	return errors.New("not a binary of this platform; " + findRemedy)
}

// BinaryVersion asks the binary for its version, e.g. "2026-11-17".
func BinaryVersion(ctx context.Context, path string) (string, error) {
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Env = []string{} // nothing of ours is its business
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("asking %s for its version: %w", path, err)
	}
	version, ok := strings.CutPrefix(strings.TrimSpace(string(out)), "workerd ")
	if !ok {
		return "", fmt.Errorf("asking %s for its version: this is not workerd; %s", path, findRemedy)
	}
	return version, nil
}
