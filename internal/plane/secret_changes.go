// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/upload"
)

// secretChanges names the secrets in which a version differs from the one that it
// was made out of. It never holds a value.
//
// Their text is the message of such a version, unless the client gave one. Clients
// read it, so its form is a contract:
//
//	Secrets changed: A, B; added: C; removed: D
//
// Each of the three parts is there only if it names something. Names are sorted and
// written as in a path of a URL (RFC 3986), so that none holds a comma, a
// semicolon, a space or a line break. What is too long for a message is cut
// between names, and the last part then counts what is left out:
//
//	Secrets changed: A, B; added: C; and 12 more
type secretChanges struct {
	changed []string // got a value, perhaps the one that they had
	added   []string
	removed []string
}

const (
	secretsMessage = "Secrets "
	// moreSecrets is longer than the part that counts what is left out ever is.
	moreSecrets = len("; and 1000000 more")
)

// secretChangesOf compares the bindings of a version, without values, with those of
// the version to be: there a secret without a value keeps the one that it has.
func secretChangesOf(before, after []registry.Binding) (c secretChanges) {
	was, is := map[string]bool{}, map[string]bool{}
	for _, b := range before {
		was[b.Name] = registry.IsSecret(b.Type)
	}
	for _, b := range after {
		inherits := b.Type == "inherit" && was[b.Name]
		is[b.Name] = registry.IsSecret(b.Type) || inherits
		switch {
		case !is[b.Name]:
		case !was[b.Name]:
			c.added = append(c.added, b.Name)
		case !inherits && !upload.KeepsValue(b), inherits && len(b.Fields) > 0:
			c.changed = append(c.changed, b.Name)
		}
	}
	for _, b := range before {
		if was[b.Name] && !is[b.Name] {
			c.removed = append(c.removed, b.Name)
		}
	}
	slices.Sort(c.changed)
	slices.Sort(c.added)
	slices.Sort(c.removed)
	return c
}

func (c secretChanges) none() bool { return len(c.changed)+len(c.added)+len(c.removed) == 0 }

// String writes the message, at most maxMessage long.
func (c secretChanges) String() string {
	var parts []string
	room, left := maxMessage-len(secretsMessage)-moreSecrets, 0
	for _, kind := range [...]struct {
		label string
		names []string
	}{{"changed: ", c.changed}, {"added: ", c.added}, {"removed: ", c.removed}} {
		var names []string
		for _, name := range kind.names {
			name = url.PathEscape(name)
			need := len(name) + len(", ")
			if names == nil {
				need += len(kind.label) // and ", " stands for the "; " before it
			}
			if need > room {
				left++
				continue
			}
			room -= need
			names = append(names, name)
		}
		if names != nil {
			parts = append(parts, kind.label+strings.Join(names, ", "))
		}
	}
	if left > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", left))
	}
	return secretsMessage + strings.Join(parts, "; ")
}

// noteSecrets has a version that is made out of before say which of its secrets
// are other ones, and that these are why it is there, if nothing else changes.
func noteSecrets(before registry.VersionContent, c *registry.VersionContent, o *versionOptions) {
	changes := secretChangesOf(before.Bindings, c.Bindings)
	if changes.none() {
		return
	}
	given := c.Annotations[annotationMessage]
	c.Annotations = maps.Clone(c.Annotations)
	if c.Annotations == nil {
		c.Annotations = map[string]string{}
	}
	c.Annotations[annotationMessage] = cmp.Or(given, changes.String())
	if onlySecretsDiffer(before, *c) {
		o.triggeredBy = triggeredBySecret
	}
}

// onlySecretsDiffer says whether a version, and the one to be made out of it, have
// everything but their secrets in common. Annotations do not count.
func onlySecretsDiffer(before, after registry.VersionContent) bool {
	secret := map[string]bool{}
	for _, b := range before.Bindings {
		secret[b.Name] = registry.IsSecret(b.Type)
	}
	isSecret := func(b registry.Binding) bool {
		return registry.IsSecret(b.Type) || b.Type == "inherit" && secret[b.Name]
	}
	was := slices.DeleteFunc(slices.Clone(before.Bindings), isSecret)
	is := slices.DeleteFunc(slices.Clone(after.Bindings), isSecret)
	if !slices.EqualFunc(was, is, keptAsItIs) {
		return false
	}
	before.Bindings, after.Bindings = nil, nil
	before.Annotations, after.Annotations = nil, nil
	return reflect.DeepEqual(before, after)
}

// keptAsItIs says whether a binding that is no secret stays what it was.
func keptAsItIs(was, is registry.Binding) bool {
	if was.Name != is.Name {
		return false
	}
	if is.Type == "inherit" {
		return len(is.Fields) == 0
	}
	return was.Type == is.Type && (upload.KeepsValue(is) ||
		maps.EqualFunc(was.Fields, is.Fields, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }))
}
