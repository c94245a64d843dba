// SPDX-License-Identifier: MPL-2.0

package secretfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// Mirror is a SOPS file that is to hold what a store of secrets holds, each
// secret by its name at the top of the file.
type Mirror struct {
	Path    string
	Format  sealed.Format // empty: that of the name
	Secrets map[string]sealed.Secret
	// Age are the recipients of a new file. Without any it gets those of the
	// creation rule for its path.
	Age []string
	// Rotate makes the file anew, with another data key, also if nobody at hand
	// can open what is there.
	Rotate bool
}

// Change is what a Mirror makes of its file. It tells names and never a value.
type Change struct {
	Path                              string
	New                               bool     // there was no such file
	Rotated                           bool     // every value is encrypted anew
	Added, Changed, Removed, Retained []string // key paths, sorted
	Recipients                        []string
	// OtherRecipients says that the file keeps recipients that differ from those
	// that were asked for.
	OtherRecipients bool

	before, after []byte // the file; after is nil if it stays as it is
}

// Nothing reports whether the file stays as it is.
func (c *Change) Nothing() bool { return c.after == nil }

// Check refuses a Mirror whose file can never be written, whatever its secrets are.
func (m Mirror) Check() error {
	if f := m.format(); f == sealed.Binary || f == sealed.INI {
		return fmt.Errorf("%s: nothing can be written in the format %s: give it a name that ends in .yaml, .json or .env, or name the format with --format", m.Path, f)
	}
	return nil
}

func (m Mirror) format() sealed.Format {
	if m.Format == "" {
		return sealed.FormatOf(m.Path)
	}
	return m.Format
}

// Plan works out what the file would become. It writes nothing.
func (m Mirror) Plan(ctx context.Context, store *sealed.Store, now time.Time) (*Change, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	if len(m.Secrets) == 0 {
		// That a whole config was emptied is less likely than a wrong name or server,
		// and every Worker would lose its secrets.
		return nil, fmt.Errorf("%s: there is no secret to write: check what you asked for, or remove the file", m.Path)
	}
	before, err := os.ReadFile(m.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return m.create(&Change{Path: m.Path, New: true}, now)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", m.Path, bare(err))
	}
	file, err := sealed.Parse(m.Path, m.format(), before)
	if err != nil {
		// Whatever else it is, it is not ours to replace.
		return nil, fmt.Errorf("%w; or name another file with --out", err)
	}
	c := &Change{Path: m.Path, before: before, Recipients: file.Recipients()}
	opened, err := store.Open(ctx, file)
	switch {
	case m.Rotate:
		m.compare(c, file, opened)
		c.Rotated = true
		return m.create(c, now)
	case err != nil:
		return nil, fmt.Errorf("%w; or give it the recipients of --age or the creation rule and another data key with --rotate, which plans a new version of every Worker that uses it", err)
	}
	m.compare(c, file, opened)
	c.OtherRecipients = len(m.Age) > 0 && !slices.Equal(sorted(m.Age), sorted(c.Recipients))
	if len(c.Added)+len(c.Changed)+len(c.Removed) > 0 {
		c.after, err = opened.Reseal(m.entries(), now)
	}
	return c, err
}

// create makes the whole file anew.
func (m Mirror) create(c *Change, now time.Time) (*Change, error) {
	to, err := m.recipients()
	if err != nil {
		return nil, err
	}
	if c.New {
		m.compare(c, nil, nil)
	}
	c.Recipients = to.Names()
	c.after, err = sealed.Seal(m.Path, m.format(), m.entries(), to, now)
	return c, err
}

func (m Mirror) recipients() (sealed.Recipients, error) {
	if len(m.Age) > 0 {
		return sealed.AgeRecipients(m.Age...)
	}
	config := sealed.FindConfig(filepath.Dir(m.Path))
	if config == "" {
		return sealed.Recipients{}, fmt.Errorf("%s: nobody could decrypt it: name a recipient with --age, or make a .sops.yaml with `hybridge sops init`", m.Path)
	}
	return sealed.RuleFor(config, m.Path)
}

func (m Mirror) entries() []sealed.Entry {
	var out []sealed.Entry
	for _, name := range slices.Sorted(maps.Keys(m.Secrets)) {
		out = append(out, sealed.Entry{Name: name, Value: m.Secrets[name]})
	}
	return out
}

// compare sorts the names. What cannot be opened counts as changed.
func (m Mirror) compare(c *Change, file *sealed.File, opened *sealed.Opened) {
	had, has := map[string]bool{}, map[string]bool{}
	if file != nil {
		for _, key := range file.Keys() {
			had[key] = true
		}
	}
	for name, secret := range m.Secrets {
		path := sealed.Path{name}
		key := path.String()
		has[key] = true
		same := false
		if opened != nil && had[key] {
			// As a text alone: a number that is written as one becomes another value.
			value, err := opened.Value(path)
			same = err == nil && value == any(secret.Reveal())
		}
		switch {
		case same:
			c.Retained = append(c.Retained, key)
		case had[key]:
			c.Changed = append(c.Changed, key)
		default:
			c.Added = append(c.Added, key)
		}
	}
	for key := range had {
		if !has[key] {
			c.Removed = append(c.Removed, key)
		}
	}
	for _, names := range [][]string{c.Added, c.Changed, c.Removed, c.Retained} {
		slices.Sort(names)
	}
}

// Write puts the file in place, as a whole or not at all. If somebody has changed
// it since Plan, it stays.
func (c *Change) Write() error {
	if c.Nothing() {
		return nil
	}
	r, err := prepare(c.Path, c.after)
	if err != nil {
		return err
	}
	now, err := os.ReadFile(c.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) || !bytes.Equal(now, c.before) {
		r.discard()
		return fmt.Errorf("%s was changed meanwhile, so it was left alone: try again", c.Path)
	}
	return r.commit()
}

func sorted(texts []string) []string { return slices.Compact(slices.Sorted(slices.Values(texts))) }

// bare is an error of the operating system without the path, which its message
// has already.
func bare(err error) error {
	var cause *fs.PathError
	if errors.As(err, &cause) {
		return cause.Err
	}
	return err
}
