// SPDX-License-Identifier: MPL-2.0

package acctest

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// Strongbox is a directory with an age key and SOPS files that it opens.
type Strongbox struct {
	Dir       string
	KeyFile   string
	Key       string // the text of KeyFile
	Recipient string
}

// NewStrongbox makes a key in a directory of the test.
func NewStrongbox(t testing.TB) Strongbox {
	t.Helper()
	key, recipient, err := sealed.NewAgeKey(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	b := Strongbox{Dir: t.TempDir(), Key: key.Reveal(), Recipient: recipient}
	b.KeyFile = filepath.Join(b.Dir, "key.txt")
	if err := os.WriteFile(b.KeyFile, []byte(b.Key), 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

// Seal writes a SOPS file of values, in the order of their names, and returns its
// path. The ending of name is the format.
func (b Strongbox) Seal(t testing.TB, name string, values map[string]string) string {
	t.Helper()
	to, err := sealed.AgeRecipients(b.Recipient)
	if err != nil {
		t.Fatal(err)
	}
	var entries []sealed.Entry
	for _, key := range slices.Sorted(maps.Keys(values)) {
		entries = append(entries, sealed.Entry{Name: key, Value: sealed.NewSecret(values[key])})
	}
	text, err := sealed.Seal(name, sealed.FormatOf(name), entries, to, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(b.Dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
