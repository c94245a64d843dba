// SPDX-License-Identifier: MPL-2.0

package registry

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"

	"filippo.io/age"
)

// Secrets maps a secret binding's name to the fields that are secret, e.g.
// "text". It MUST NOT be logged, and goes to nobody but the runtime.
type Secrets map[string]map[string]json.RawMessage

// secretFields are the fields that are secret, by type of binding.
var secretFields = map[string][]string{
	"secret_text": {"text"},
	"secret_key":  {"key_base64", "key_jwk"},
}

// IsSecret says whether bindings of that type carry a secret.
func IsSecret(bindingType string) bool { return secretFields[bindingType] != nil }

// splitSecrets takes the secret fields out of the bindings. It changes none of
// what it is given.
func splitSecrets(bindings []Binding) ([]Binding, Secrets) {
	secrets := Secrets{}
	out := make([]Binding, len(bindings))
	for i, b := range bindings {
		hidden := secretFields[b.Type]
		kept := make(map[string]json.RawMessage, len(b.Fields))
		for field, value := range b.Fields {
			if !slices.Contains(hidden, field) {
				kept[field] = value
				continue
			}
			if secrets[b.Name] == nil {
				secrets[b.Name] = map[string]json.RawMessage{}
			}
			secrets[b.Name][field] = value
		}
		out[i] = Binding{Name: b.Name, Type: b.Type, Fields: kept}
	}
	return out, secrets
}

// keys encrypts secrets to this plane's own identity.
type keys struct {
	identity *age.X25519Identity
}

// sealed is what is encrypted: the version's id binds the ciphertext to its row.
type sealed struct {
	Version string  `json:"version"`
	Secrets Secrets `json:"secrets"`
}

func (k *keys) seal(version string, s Secrets) ([]byte, error) {
	if len(s) == 0 {
		return nil, nil
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, k.identity.Recipient())
	if err != nil {
		return nil, fmt.Errorf("encrypting secrets: %w", err)
	}
	if err := errors.Join(json.NewEncoder(w).Encode(sealed{version, s}), w.Close()); err != nil {
		return nil, fmt.Errorf("encrypting secrets: %w", err)
	}
	return out.Bytes(), nil
}

func (k *keys) open(version string, ciphertext []byte) (Secrets, error) {
	if len(ciphertext) == 0 {
		return Secrets{}, nil
	}
	r, err := age.Decrypt(bytes.NewReader(ciphertext), k.identity)
	if err != nil {
		return nil, fmt.Errorf("decrypting the secrets of version %s: %w; put the key file back that belongs to this registry", version, err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("decrypting the secrets of version %s: %w", version, err)
	}
	var s sealed
	// A decoding error would quote the plaintext, so it is not passed on.
	if json.Unmarshal(plain, &s) != nil || s.Version != version {
		return nil, fmt.Errorf("the secrets of version %s are not those that were stored with it", version)
	}
	return s.Secrets, nil
}

// openKeys reads the key file, or makes it for a new registry. A lost key is
// never replaced silently: what was encrypted with it would be lost as well.
func openKeys(path string, isNew bool) (*keys, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		if !isNew {
			return nil, fmt.Errorf("the key file %s is missing: restore it from a backup; without it the stored secrets cannot be read", path)
		}
		return createKeys(path)
	}
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("the key file %s is a symbolic link: put the file itself there", path)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the key file: %w", err)
	}
	k, err := readKeys(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return k, nil
}

func createKeys(path string) (*keys, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("making the key file: %w", err)
	}
	if err := WriteDurably(path, []byte(id.String()+"\n")); err != nil {
		return nil, fmt.Errorf("making the key file: %w", err)
	}
	return &keys{identity: id}, nil
}

func readKeys(f *os.File) (*keys, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("looking at the key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("the key file %s is not a regular file", f.Name())
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the key file %s is open to others (mode %04o): run chmod 0600 on it", f.Name(), info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, 1<<10))
	if err != nil {
		return nil, fmt.Errorf("reading the key file: %w", err)
	}
	// The library's error may quote the line, which is the key.
	id, err := age.ParseX25519Identity(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("the key file %s holds no age X25519 identity: restore it from a backup", f.Name())
	}
	return &keys{identity: id}, nil
}

// Secrets gives back the secret fields of a version's bindings. Only what hands
// them to the runtime, carries them into a new version or compares them may ask.
func (r *Registry) Secrets(ctx context.Context, versionID string) (Secrets, error) {
	var ciphertext []byte
	err := r.view(ctx, "reading the secrets of version "+versionID, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT secrets FROM versions WHERE id = ?`, versionID).Scan(&ciphertext)
		return notFound(err)
	})
	if err != nil {
		return nil, err
	}
	return r.keys.open(versionID, ciphertext)
}
