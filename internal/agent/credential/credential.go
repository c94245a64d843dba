// SPDX-License-Identifier: MPL-2.0

// Package credential reads the secrets of the agent from files.
package credential

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// ServiceDirectory is where systemd places the credentials of the unit of our packages. Only
// the service's own processes are told so by DirectoryVariable.
const ServiceDirectory = "/run/credentials/hybridge-agent.service"

// WithServiceDirectory answers for DirectoryVariable where it is unset, so that
// a person's command on the machine reads the same agent.yaml as the service.
func WithServiceDirectory(getenv func(string) string) func(string) string {
	return func(name string) string {
		if v := getenv(name); v != "" || name != DirectoryVariable {
			return v
		}
		return ServiceDirectory
	}
}

// DirectoryVariable is what systemd names the directory of credentials with.
const DirectoryVariable = "CREDENTIALS_DIRECTORY"

// maxBytes is far above any token.
const maxBytes = 64 << 10

// Read returns a secret without the white space around it. Nobody else may read
// or replace the file, except in systemd's directory of credentials: there the
// file may be root's, and its group bits are the mask of the access control list
// that lets this service in.
func Read(path string) ([]byte, error) {
	dir := filepath.Dir(path)
	if own := os.Getenv(DirectoryVariable); own != "" && dir == filepath.Clean(own) || dir == ServiceDirectory {
		return readCredential(path)
	}
	text, err := sealed.ReadKeyFile(path)
	if err != nil {
		return nil, err
	}
	return trimmed(path, text)
}

func readCredential(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("reading the credential: %w: name it in LoadCredential= of the unit", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading the credential: %w", err)
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o037 != 0 {
		return nil, fmt.Errorf("reading the credential %s: its mode is %s, and others may read or change it: let systemd place it by LoadCredential=", path, mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxBytes))
	if err != nil {
		return nil, fmt.Errorf("reading the credential: %w", err)
	}
	return trimmed(path, text)
}

func trimmed(path string, text []byte) ([]byte, error) {
	if text = bytes.TrimSpace(text); len(text) == 0 {
		return nil, fmt.Errorf("reading the credential %s: it is empty", path)
	}
	return text, nil
}
