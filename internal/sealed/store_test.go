// SPDX-License-Identifier: MPL-2.0

package sealed_test

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

func TestManyReadersShareAStore(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	to, err := sealed.AgeRecipients(w.recipient)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		var entries []sealed.Entry
		for j := range 50 {
			entries = append(entries, sealed.Entry{Name: fmt.Sprintf("k%d", j), Value: sealed.NewSecret(fmt.Sprintf("value %d of %d", j, i))})
		}
		text, err := sealed.Seal("x", sealed.JSON, entries, to, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		w.write(fmt.Sprintf("%d.json", i), string(text))
	}
	store := w.store()
	var group sync.WaitGroup
	for i := range 200 {
		group.Go(func() {
			file, key := i%4, i/4
			got, err := store.Secret(t.Context(), w.path(fmt.Sprintf("%d.json", file)), "", sealed.Path{fmt.Sprintf("k%d", key)})
			if want := fmt.Sprintf("value %d of %d", key, file); err != nil || got.Reveal() != want {
				t.Errorf("got %q, %v, want %q", got.Reveal(), err, want)
			}
		})
	}
	group.Wait()
}

func TestAFileThatChangesIsReadAgain(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	file := w.encrypt("a.yaml", "a: one\n")
	store := w.store()
	read := func() string {
		s, err := store.Secret(t.Context(), file, "", sealed.Path{"a"})
		if err != nil {
			t.Fatal(err)
		}
		return s.Reveal()
	}
	if got := read(); got != "one" {
		t.Errorf("first %q", got)
	}
	w.sops("set", "a.yaml", `["a"]`, `"two"`)
	later := time.Now().Add(2 * time.Second) // whatever the file system's clock can tell apart
	if err := os.Chtimes(file, later, later); err != nil {
		t.Fatal(err)
	}
	if got := read(); got != "two" {
		t.Errorf("after a change %q", got)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := store.File(file, ""); sealed.CodeOf(err) != sealed.Unreadable {
		t.Errorf("after its removal %v", err)
	}
}
